import { copyFile, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { writePoints } from '../src/formats/index.ts'
import {
  DEFAULT_SPEC,
  eachWritePoint,
  forkMachine,
  type MachineContext,
  type MachineSpec,
  machine,
  materialise,
  PrivateNetwork,
  type RunningMachine,
  recordedFaults,
  type WriteRecording,
} from '../src/machine/index.ts'
import { runUnchecked } from '../src/system/index.ts'
import { Cache, cacheDirectory } from '../src/toolchain/index.ts'
import { builtImage, hostAccelerator, plainFirmware, STATES, tools } from './support/scene.ts'

const HOUR_MS = 3_600_000
const TEN_YEARS_S = 10 * 365 * 86_400

let scope: AsyncDisposableStack
let context: MachineContext
let running: RunningMachine
let machines = 0

async function spec(changes: Partial<MachineSpec> = {}): Promise<MachineSpec> {
  return {
    ...DEFAULT_SPEC,
    image: await builtImage('minimal'),
    firmware: await plainFirmware(),
    accelerator: await hostAccelerator(),
    uuid: '11111111-2222-4333-8444-555555555555',
    ...changes,
  }
}

beforeEach(async () => {
  const toolchain = await tools()
  scope = new AsyncDisposableStack()
  const directory = await mkdtemp(join(cacheDirectory(), 'faults-test-'))
  scope.defer(() => rm(directory, { recursive: true, force: true }))
  const names = { 'known.test': ['10.77.0.1'] }
  const network = scope.use(await PrivateNetwork.open(toolchain, { directory, addresses: [], names, hosts: [] }))
  machines += 1
  context = { toolchain, network, stateParent: STATES, name: `faults-${process.pid}-${machines}` }
})

afterEach(() => scope.disposeAsync())

async function fork(): Promise<RunningMachine> {
  return scope.use(await forkMachine(await spec(), context, { cache: new Cache() }))
}

/** What a script prints in the guest, whatever its status. */
async function sh(script: string): Promise<string> {
  const { stdout } = await running.runUnchecked(['bash', '-c', script])
  return stdout.toString().trim()
}

/** Reads a block of the whole disk past every cache; the status of dd. */
const readBlock = (block: number) =>
  sh(`dd if=/dev/vda of=/dev/null bs=4096 count=1 skip=${block} iflag=direct 2>/dev/null; echo $?`)

describe('the line to the network', () => {
  /** `status milliseconds` of a TCP connection and what comes over it, with a limit of 5 s. */
  const GET = `start=$EPOCHREALTIME
    timeout 5 bash -c 'exec 3<>/dev/tcp/10.77.0.1/8080 && cat <&3' >/dev/null 2>&1; status=$?
    end=$EPOCHREALTIME; echo "$status $(( (\${end/./} - \${start/./}) / 1000 ))"`
  /** The answer to a DNS query for the A record of known.test, in hexadecimal. */
  const DNS = `exec 3<>/dev/udp/10.77.0.1/53
    printf '\\xab\\xcd\\x01\\x00\\x00\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x05known\\x04test\\x00\\x00\\x01\\x00\\x01' >&3
    timeout 1 dd bs=512 count=1 status=none <&3 | od -An -v -tx1 | tr -d ' \\n'`

  async function get(): Promise<{ status: number; ms: number }> {
    const [status = Number.NaN, ms = Number.NaN] = (await sh(GET)).split(' ').map(Number)
    return { status, ms }
  }

  beforeEach(async () => {
    running = await fork()
    const server = await context.network.listen('10.77.0.1', 8080)
    scope.defer(() => void server.close())
    server.on('connection', (socket) => socket.on('error', () => undefined).end('hello\n'))
    await running.writeFile('/run/systemd/network/10-all.network', '[Match]\nType=ether\n[Network]\nDHCP=ipv4\n')
    await running.run(['chmod', '-R', 'a+rX', '/run/systemd/network'])
    await running.run(['systemctl', 'start', 'systemd-networkd'])
    await running.run(['/usr/lib/systemd/systemd-networkd-wait-online', '--timeout=60'])
    expect((await get()).status).toBe(0)
  })

  it('delays, by as much as it is told, each way', async () => {
    await using line = await running.faults.line({ delayMs: 300 })
    const slow = await get()
    expect(slow.status).toBe(0)
    // To connect, and to get the answer: there and back again for the first.
    expect(slow.ms).toBeGreaterThanOrEqual(600)
    expect(line.counts('from-machine').delivered).toBeGreaterThan(0)
    await line.end()
    expect((await get()).ms).toBeLessThan(600)
  })

  it('loses packets: all of them, or a part', async () => {
    {
      await using _line = await running.faults.line({ loss: 1 })
      expect((await get()).status).not.toBe(0)
    }
    await using line = await running.faults.line({ loss: 0.5, direction: 'to-machine' })
    const answers = await sh(`for i in {1..20}; do ( ${DNS} ); echo; done | grep -c abcd`)
    expect(Number(answers)).toBeGreaterThan(2)
    expect(Number(answers)).toBeLessThan(18)
    expect(line.counts('to-machine').dropped).toBeGreaterThan(2)
    expect(line.counts('from-machine').dropped).toBe(0)
  })

  it('doubles packets', async () => {
    await using _line = await running.faults.line({ duplicate: 1, direction: 'to-machine' })
    const second = `timeout 1 dd bs=512 count=1 status=none <&3 | od -An -v -tx1 | tr -d ' \\n'`
    const [one, two] = (await sh(`${DNS}; echo; ${second}`)).split('\n')
    expect(one).toMatch(/^abcd/)
    expect(two).toBe(one)
  })

  it('damages packets, which the guest notices', async () => {
    const errors = `awk '/^(Ip|Udp|Icmp):/ { print $0 }' /proc/net/snmp`
    const before = await sh(errors)
    await using _line = await running.faults.line({ corrupt: 1, direction: 'to-machine' })
    const answers = await sh(`for i in {1..10}; do ( ${DNS} ); echo; done | grep -c abcd`)
    expect(Number(answers)).toBeLessThan(3)
    expect(await sh(errors)).not.toBe(before)
  })

  it('is cut, and whole again', async () => {
    const carrier = 'cat /sys/class/net/e*/carrier'
    expect(await sh(carrier)).toBe('1')
    await using link = await running.faults.linkDown()
    expect(await sh(`until [ "$(${carrier})" = 0 ]; do sleep 0.1; done; ${carrier}`)).toBe('0')
    expect((await get()).status).not.toBe(0)
    await link.end()
    await running.run(['/usr/lib/systemd/systemd-networkd-wait-online', '--timeout=60'])
    expect((await get()).status).toBe(0)
  })

  it('has a name server that fails in each way, and then works', async () => {
    // Identifier, then flags with the code of the answer, then the number of questions and answers.
    expect(await sh(DNS)).toMatch(/^abcd8[45]8000010001.*0a4d0001$/)
    for (const [failure, pattern] of [
      ['refused', /^abcd818500010000/],
      ['servfail', /^abcd818200010000/],
      ['nxdomain', /^abcd818300010000/],
      ['silent', /^$/],
      [{ wrongAddresses: ['192.0.2.7'] }, /^abcd818000010001.*c0000207$/],
    ] as const) {
      await using _dns = await running.faults.dns(failure)
      expect(await sh(DNS)).toMatch(pattern)
    }
    {
      await using _dns = await running.faults.dns('silent', { names: ['other.test'] })
      expect(await sh(DNS)).toMatch(/0a4d0001$/)
    }
    expect(await sh(DNS)).toMatch(/0a4d0001$/)
    const done = (await running.faults.records()).map(({ what }) => what)
    expect(done.slice(0, 2)).toEqual(['DNS failure', 'DNS failure over'])
    expect(done).toHaveLength(12)
  })
})

describe('the disk', () => {
  beforeEach(async () => {
    running = await fork()
    expect(await readBlock(100)).toBe('0')
  })

  it('has sectors that cannot be read, and others that can', async () => {
    {
      await using _disk = await running.faults.disk({ kind: 'torn-sectors', sectors: [800, 815] })
      expect([await readBlock(100), await readBlock(101), await readBlock(102)]).toEqual(['1', '1', '0'])
    }
    expect(await readBlock(100)).toBe('0')
  })

  it('fails so many reads after so many', async () => {
    await using _disk = await running.faults.disk({ kind: 'read-error', sectors: [800], after: 0, times: 1 })
    // The kernel tries a read that failed no second time by itself.
    expect([await readBlock(100), await readBlock(100)]).toEqual(['1', '0'])
  })

  it('fails writes, and the guest is told', async () => {
    const write = 'dd if=/dev/zero of=/var/tmp/written bs=4096 count=16 oflag=direct 2>/dev/null; echo $?'
    expect(await sh(write)).toBe('0')
    {
      await using _disk = await running.faults.disk({ kind: 'write-error' })
      expect(await sh(write)).toBe('1')
    }
  })

  it('is full for the guest', async () => {
    const write =
      'dd if=/dev/zero of=/var/tmp/written bs=4096 count=64 conv=fsync 2>&1 | grep -c "No space left"; rm /var/tmp/written'
    expect(await sh(write)).toBe('0')
    {
      await using _full = await running.faults.fillDisk()
      expect(await sh(write)).toBe('1')
    }
    expect(await sh(write)).toBe('0')
    await using _almost = await running.faults.fillDisk('/', 8 * 1024 * 1024)
    expect(await sh(write)).toBe('0')
  })

  it('is full for the host: the machine waits, and goes on as if nothing had been', async () => {
    const disk = await running.faults.disk({ kind: 'host-full' })
    const writing = sh('echo written >/var/tmp/file && sync /var/tmp/file && cat /var/tmp/file')
    await expect
      .poll(async () => (await running.qmp.execute('query-status')).status, { timeout: 60_000 })
      .toBe('io-error')
    await disk.end()
    await running.qmp.execute('cont')
    expect(await writing).toBe('written')
  })

  it('loses its power at the flush that is named, with nothing written behind it', async () => {
    await using recording = await running.faults.recordWrites()
    const cut = await running.faults.cutPowerAt('flush', 2)
    running
      .run(['sh', '-c', 'for i in 1 2 3 4; do echo $i >/var/tmp/f$i; sync /var/tmp/f$i; done'])
      .catch(() => undefined)
    await using stopped = await cut.stopped
    const log = await recording.log()
    // The first one, and the one that QEMU makes at its end.
    expect(log.entries.filter(({ isFlush }) => isFlush).length).toBeLessThanOrEqual(2)
    expect((await recordedFaults(stopped)).map(({ what }) => what)).toEqual(['writes recorded', 'power cut at flush 2'])
  })
})

describe('the writes of a step', () => {
  it('give every disk that a power cut could leave, the last of them the real one', async () => {
    const { toolchain } = context
    running = await fork()
    const recording = await running.faults.recordWrites()
    await running.run(['sh', '-c', 'for i in 1 2 3; do echo $i >/var/tmp/f$i; sync /var/tmp/f$i; done; sync'])
    // Nothing is written any more that the log would not have.
    await running.qmp.execute('stop')
    await recording.end()
    const real = join(running.directory, 'real.qcow2')
    await copyFile(join(running.directory, 'disk.qcow2'), real)
    const log = await recording.log()
    const compare = async (path: string) =>
      (await runUnchecked(toolchain.command(['qemu-img', 'compare', '-q', path, real]))).exitCode
    const last = await materialise(recording, log.entries.length, join(running.directory, 'last.qcow2'), { toolchain })
    expect(await compare(last)).toBe(0)
    expect(await compare(recording.basePath)).toBe(1)
    const same: number[] = []
    const points = await eachWritePoint(recording, { toolchain }, async ({ path }) => {
      same.push(await compare(path))
    })
    expect(points).toBeGreaterThan(3)
    expect(same[0]).toBe(1)
    // A torn disk differs from the one that it was to become.
    const mode = { kind: 'torn', seed: 7 } as const
    const torn: number[] = []
    await eachWritePoint(recording, { toolchain, mode }, async ({ path }) => {
      torn.push(await compare(path))
    })
    expect(torn).toContain(1)
  })
})

describe('time and TPM', () => {
  const PERMANENT = `exec 3<>/dev/tpmrm0
    printf '\\x80\\x01\\x00\\x00\\x00\\x16\\x00\\x00\\x01\\x7a\\x00\\x00\\x00\\x06\\x00\\x00\\x02\\x00\\x00\\x00\\x00\\x01' >&3
    dd bs=4096 count=1 status=none <&3 | od -An -v -tx1 | tr -d ' \\n'`
  /** TPMA_PERMANENT.inLockout is bit 9. */
  const isLocked = async () => (Number.parseInt((await sh(PERMANENT)).slice(-8), 16) & 0x200) !== 0

  it('jump and lock while the machine runs', async () => {
    running = await fork()
    const year = async () => Number(await sh('date +%Y'))
    const now = new Date().getUTCFullYear()
    expect(Math.abs((await year()) - now)).toBeLessThanOrEqual(1)
    await running.faults.jumpClock(TEN_YEARS_S)
    expect(Math.abs((await year()) - now - 10)).toBeLessThanOrEqual(1)
    expect(await isLocked()).toBe(false)
    {
      await using _lock = await running.faults.lockTpm()
      expect(await isLocked()).toBe(true)
    }
    expect(await isLocked()).toBe(false)
    await running.faults.failTpm()
    expect(await sh(`timeout 60 bash -c '${PERMANENT.replaceAll("'", `'\\''`)}'`)).not.toMatch(/^8001000000/)
    expect(await sh('echo alive')).toBe('alive')
  })

  it('are wrong from the first instruction on; a boot that its power left halfway is followed by a whole one', async () => {
    const { toolchain } = context
    const clockOffsetSeconds = TEN_YEARS_S
    const recordings: WriteRecording[] = []
    const beforeStart = async (starting: RunningMachine) => {
      recordings.push(await starting.faults.recordWrites())
    }
    running = scope.use(await machine(await spec({ clockOffsetSeconds }), context).start({ beforeStart }))
    expect(await running.booted()).toBe('running')
    const expected = Date.now() + clockOffsetSeconds * 1_000
    expect(Math.abs(Number(await sh('date +%s')) * 1_000 - expected)).toBeLessThan(HOUR_MS)
    const stopped = scope.use(await running.powerOff())
    const [recording] = recordings as [WriteRecording]
    const log = await recording.log()
    const last = await materialise(recording, log.entries.length, join(stopped.directory, 'last.qcow2'), { toolchain })
    const disk = join(stopped.directory, 'disk.qcow2')
    expect((await runUnchecked(toolchain.command(['qemu-img', 'compare', '-q', last, disk]))).exitCode).toBe(0)
    const points = writePoints(log)
    const halfway = points[points.length >> 1]?.at ?? 0
    const mode = { kind: 'lost', seed: 11 } as const
    const cut = await materialise(recording, halfway, join(stopped.directory, 'cut.qcow2'), { toolchain, mode })
    await stopped.faults.replaceDisk(cut)
    await stopped.faults.lockTpm()
    running = scope.use(await stopped.restart())
    expect(await running.booted()).toMatch(/running|degraded/)
    expect(await isLocked()).toBe(true)
    const done = (await running.faults.records()).map(({ what }) => what)
    expect(done).toEqual(['clock offset', 'writes recorded', 'disk replaced', 'TPM locked out', 'clock offset'])
  })
})
