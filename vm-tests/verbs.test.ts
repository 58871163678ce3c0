import {
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  realpath,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  DEFAULT_SPEC,
  forkMachine,
  type JournalEntry,
  type MachineSpec,
  machine,
  PrivateNetwork,
  type RunningMachine,
} from '../src/machine/index.ts'
import { parseEventLog } from '../src/measure/index.ts'
import { run } from '../src/system/index.ts'
import { Cache, cacheDirectory } from '../src/toolchain/index.ts'
import { builtImage, hostAccelerator, plainFirmware, STATES, tools } from './support/scene.ts'

const scope = new AsyncDisposableStack()
const everyByte = Buffer.from(Array.from({ length: 256 }, (_, index) => index))
let directory: string
let made = 0

beforeAll(async () => {
  directory = await mkdtemp(join(cacheDirectory(), 'verbs-test-'))
  scope.defer(() => rm(directory, { recursive: true, force: true }))
})

afterAll(() => scope.disposeAsync())

async function context(changes: Partial<MachineSpec> = {}) {
  const own = await mkdtemp(join(directory, 'network-'))
  const toolchain = await tools()
  const network = scope.use(
    await PrivateNetwork.open(toolchain, { directory: own, addresses: [], names: {}, hosts: [] }),
  )
  const spec: MachineSpec = {
    ...DEFAULT_SPEC,
    image: await builtImage('minimal'),
    firmware: await plainFirmware(),
    accelerator: await hostAccelerator(),
    uuid: '11111111-2222-4333-8444-555555555555',
    ...changes,
  }
  return { spec, context: { toolchain, network, stateParent: STATES, name: `verbs-${process.pid}-${made++}` } }
}

/** A booted machine of its own. */
async function fork(): Promise<RunningMachine> {
  const { spec, context: where } = await context()
  return forkMachine(spec, where, { cache: new Cache() })
}

describe('in a running guest', () => {
  let running: RunningMachine

  beforeAll(async () => {
    running = scope.use(await fork())
  })

  it('spawns processes that answer while they run, several at once', async () => {
    await using slow = await running.spawn(['sleep', '1000'])
    await using filter = await running.spawn(['sed', '-u', 's/^/> /'])
    const answers = filter.stdout[Symbol.asyncIterator]()
    filter.stdin.write('one\n')
    expect(String((await answers.next()).value)).toBe('> one\n')
    filter.stdin.end('two')
    expect(String((await answers.next()).value)).toBe('> two')
    expect(await filter.exited).toEqual({ exitCode: 0 })
    slow.kill()
    expect(await slow.exited).toEqual({ exitCode: 143, signal: 'SIGTERM' })
    const missing = await running.spawn(['no-such-program'])
    expect(await text(missing.stderr)).toContain('no-such-program')
    expect((await missing.exited).exitCode).toBe(127)
  })

  it('carries a megabyte of any bytes through a process', async () => {
    const big = Buffer.alloc(1024 * 1024, everyByte)
    const process = await running.spawn(['cat'])
    process.stdin.end(big)
    const pieces = (await process.stdout.toArray()) as Buffer[]
    expect(Buffer.concat(pieces).equals(big)).toBe(true)
  })

  it('ends a command that does not answer, and says which signal has ended another', async () => {
    await expect(running.run(['sh', '-c', 'sleep 4242; true'], { timeoutMs: 500 })).rejects.toMatchObject({
      code: 'GUEST_COMMAND_FAILED',
      message: expect.stringMatching(/within 500 ms.*SIGTERM/),
    })
    await expect(running.run(['sh', '-c', 'kill -9 $$'])).rejects.toThrow(/SIGKILL/)
    await expect(running.run(['sleep', '4242'], { signal: AbortSignal.timeout(200) })).rejects.toThrow(/timeout/)
    // The pattern is not what it matches: grep would find itself.
    const search = ['sh', '-c', 'grep -lsz "^424[2]$" /proc/[0-9]*/cmdline; true']
    await expect.poll(async () => (await running.run(search)).stdout).toBe('')
  })

  it('outlives a command that eats all memory', async () => {
    const eater = await running.runUnchecked(['sh', '-c', 'x=a; while :; do x=$x$x$x$x; done'])
    expect(eater).toMatchObject({ exitCode: 137, signal: 'SIGKILL' })
    expect((await running.run(['echo', 'still here'])).stdout).toBe('still here\n')
    await running.unitActive('bootwright-channel.service')
  })

  it('outlives a flood on its console, and text that is none', async () => {
    // A getty hangs its terminal up when it begins: late, or anew, as the hunger of the test above may have cost it its life.
    await running.run(['systemctl', 'stop', 'serial-getty@ttyS0.service'])
    const before = running.console.byteCount
    await running.run(['sh', '-c', '{ head -c 100000 /dev/urandom; echo; yes | head -c 400000; } >/dev/ttyS0'])
    // What a terminal was given is not yet what it has shown, and of random bytes it keeps some to itself.
    const flood = () => running.console.byteCount - before
    await expect.poll(flood, { timeout: 60_000 }).toBeGreaterThanOrEqual(400_000)
    expect((await running.run(['printf', '\\303\\050\\377'])).stdout).toBe('\ufffd(\ufffd')
    expect(running.failure).toBeUndefined()
  })

  it('copies files and trees in and out, with modes and links', async () => {
    const tree = join(directory, 'tree')
    await mkdir(join(tree, 'a b', 'deep'), { recursive: true })
    await writeFile(join(tree, 'a b', 'deep', 'script'), '#!/bin/sh\necho ran\n')
    await chmod(join(tree, 'a b', 'deep', 'script'), 0o755)
    await writeFile(join(tree, 'bytes'), everyByte)
    await chmod(join(tree, 'bytes'), 0o640)
    await symlink('a b/deep/script', join(tree, 'link'))
    await chmod(join(tree, 'a b'), 0o700)
    await running.copyIn(tree, '/run/copied/tree')
    expect((await running.run(['/run/copied/tree/link'])).stdout).toBe('ran\n')
    const { stdout } = await running.run(['stat', '-c', '%a %u', '/run/copied/tree/bytes', '/run/copied/tree/a b'])
    expect(stdout).toBe('640 0\n700 0\n')
    const back = join(directory, 'back')
    await running.copyOut('/run/copied/tree', back)
    expect((await readFile(join(back, 'bytes'))).equals(everyByte)).toBe(true)
    expect((await stat(join(back, 'a b', 'deep', 'script'))).mode & 0o777).toBe(0o755)
    expect(await readlink(join(back, 'link'))).toBe('a b/deep/script')
    await running.copyOut('/run/copied/tree/bytes', join(directory, 'one file'))
    expect((await readFile(join(directory, 'one file'))).equals(everyByte)).toBe(true)
    await running.copyIn(join(directory, 'one file'), '/run/copied/tree/bytes')
  })

  it('copies nothing by half', async () => {
    await expect(running.copyIn(join(directory, 'nothing'), '/run/x')).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    })
    await writeFile(join(directory, 'file'), 'x')
    await expect(running.copyIn(join(directory, 'file'), '/etc')).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    await expect(running.copyIn(join(directory, 'file'), '/proc/none/x')).rejects.toMatchObject({
      code: 'GUEST_COMMAND_FAILED',
    })
    await expect(running.copyOut('/no/such', join(directory, 'none'))).rejects.toMatchObject({
      code: 'GUEST_COMMAND_FAILED',
    })
    await expect(running.copyOut('/etc', directory)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    await expect(stat(join(directory, 'none'))).rejects.toMatchObject({ code: 'ENOENT' })
    expect((await running.runUnchecked(['sh', '-c', 'ls -d /etc.bw-* /run/x*'])).stdout.toString()).toBe('')
  })

  it('tells entries of the journal as they are written, and from where one was left', async () => {
    const unit = 'said.service'
    const script = 'echo first; printf "\\303\\050\\n"; echo "<3>bad"; echo last'
    const said: JournalEntry[] = []
    const reading = (async () => {
      for await (const entry of running.journal({ unit })) {
        if (entry.identifier === 'sh') said.push(entry)
        if (entry.message === 'last') break
      }
    })()
    await running.run(['systemd-run', `--unit=${unit}`, 'sh', '-c', script])
    await reading
    expect(said.map(({ message }) => message)).toEqual(['first', '\ufffd(', 'bad', 'last'])
    expect(said[1]?.fields.MESSAGE).toEqual([Uint8Array.of(0o303, 0o050)])
    expect(said[2]).toMatchObject({ priority: 'err', unit, pid: expect.any(Number), realtime: expect.any(Date) })
    const urgent = await Array.fromAsync(running.journal({ unit, priority: 'err', follow: false }))
    expect(urgent.map(({ message }) => message)).toEqual(['bad'])
    const later = await Array.fromAsync(running.journal({ unit, after: said[2]?.cursor ?? '', follow: false }))
    expect(later[0]?.message).toBe('last')
    await expect(Array.fromAsync(running.journal({ after: 'no cursor' }))).rejects.toMatchObject({
      code: 'GUEST_COMMAND_FAILED',
    })
  })

  it('has units that fail, and says which', async () => {
    await running.runUnchecked(['systemd-run', '--unit=broken', 'false'])
    await running.unitFailed('broken.service')
    expect(await running.failedUnits()).toEqual(['broken.service'])
    await running.run(['systemd-run', '--unit=good', '--property=RemainAfterExit=no', 'true'])
    await expect(running.unitFailed('good.service')).rejects.toMatchObject({ code: 'GUEST_UNIT_FAILED' })
    await expect(running.unitFailed('no-such.service')).rejects.toMatchObject({ code: 'GUEST_UNIT_FAILED' })
    await running.run(['systemctl', 'reset-failed'])
    expect(await running.failedUnits()).toEqual([])
  })

  it('calls varlink services: replies, streams, errors', async () => {
    await using systemd = running.varlink('/run/systemd/io.systemd.Manager')
    expect(await systemd.call('org.varlink.service.GetInfo')).toMatchObject({ vendor: expect.any(String) })
    const units: unknown[] = []
    await using list = running.varlink('/run/systemd/io.systemd.Manager')
    for await (const unit of list.stream('io.systemd.Unit.List')) {
      units.push(unit)
      if (units.length === 3) break
    }
    expect(units).toHaveLength(3)
    await expect(systemd.call('io.systemd.Unit.List', { name: 'no-such.service' })).rejects.toMatchObject({
      name: 'VarlinkError',
      error: 'io.systemd.Unit.NoSuchUnit',
    })
    await expect(systemd.call('org.varlink.service.GetInfo', { nonsense: 1 })).rejects.toMatchObject({
      error: 'org.varlink.service.InvalidParameter',
      parameters: { parameter: 'nonsense' },
    })
    await using nobody = running.varlink('/run/no-such-socket')
    await expect(nobody.call('a.b.C')).rejects.toMatchObject({ code: 'GUEST_COMMAND_FAILED' })
  })

  it('reads its TPM and the event log', async () => {
    const pcrs = await running.tpm.readPcrs()
    expect([...pcrs.keys()]).toEqual(Array.from({ length: 24 }, (_, pcr) => pcr))
    expect(pcrs.get(11)).toMatch(/^(?!0+$)[0-9a-f]{64}$/)
    await expect(running.tpm.readPcrs('sha384')).rejects.toMatchObject({
      code: 'UNKNOWN_NAME',
      message: expect.stringContaining('sha256'),
    })
    expect(parseEventLog(await running.eventLog()).events.length).toBeGreaterThan(20)
  })

  it('is paused and goes on', async () => {
    await running.pause()
    expect(await running.qmp.execute('query-status')).toMatchObject({ running: false })
    const asked = running.run(['echo', 'awake'])
    await running.resume()
    expect((await asked).stdout).toBe('awake\n')
  })

  it('refuses keys that there are not, and pictures of a screen that there is not', async () => {
    await running.type('ls -l ~/"$HOME"\n')
    await running.sendKey('shift-a')
    await expect(running.type('ü')).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    await expect(running.sendKey('no such key')).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    await expect(running.sendKey('ctrl-nokey')).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    await expect(running.screenshot()).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  })

  it('outlives somebody who kills every process', async () => {
    const killed = running.run(['sh', '-c', 'kill -9 -1'])
    await expect(killed).rejects.toMatchObject({ code: 'GUEST_GONE' })
    expect((await running.run(['echo', 'back'])).stdout).toBe('back\n')
  })
})

describe('a restart', () => {
  it('that the guest refuses is an error; one of userspace keeps the kernel', async () => {
    await using running = await fork()
    await expect(running.kexec()).rejects.toMatchObject({
      code: 'GUEST_COMMAND_FAILED',
      message: expect.stringContaining('kexec'),
    })
    await running.run(['systemctl', 'mask', '--runtime', 'reboot.target', 'soft-reboot.target'])
    const refused = { code: 'GUEST_COMMAND_FAILED', message: expect.stringContaining('masked') }
    await expect(running.reboot()).rejects.toMatchObject(refused)
    await expect(running.softReboot()).rejects.toMatchObject(refused)
    await running.run(['systemctl', 'unmask', '--runtime', 'reboot.target', 'soft-reboot.target'])
    const before = await running.readFile('/proc/sys/kernel/random/boot_id')
    const process = await running.spawn(['sleep', '1000'])
    await running.softReboot()
    await expect(process.exited).rejects.toMatchObject({ code: 'GUEST_GONE' })
    expect(await running.readFile('/proc/sys/kernel/random/boot_id')).toEqual(before)
    expect(await running.booted()).toBe('running')
  })

  it('with kexec goes on with another kernel, without the firmware', async () => {
    await using running = await fork()
    const { directory: built } = await builtImage('minimal')
    const files = await readdir(built)
    for (const [suffix, path] of [
      ['.vmlinuz', '/run/kernel'],
      ['.initrd', '/run/initrd'],
    ] as const) {
      const file = files.find((name) => name.endsWith(suffix)) ?? ''
      await running.copyIn(join(built, file), path)
    }
    // The image has none of its own; the tools are of the same release.
    const toolchain = await tools()
    const { stdout } = await run(toolchain.command(['ldd', '/usr/sbin/kexec']))
    const libraries = [...stdout.matchAll(/ => (\/\S+)/g)].map(([, path = '']) => path)
    for (const path of ['/usr/sbin/kexec', ...libraries]) {
      const isThere = (await running.runUnchecked(['test', '-e', path])).exitCode === 0
      if (!isThere) await running.copyIn(await realpath(join(toolchain.root, path)), path)
    }
    const before = await running.readFile('/proc/sys/kernel/random/boot_id')
    const firmware = await running.eventLog()
    const lines: string[] = []
    running.console.onLine((line) => lines.push(line))
    await running.kexec({ kernel: '/run/kernel', initrd: '/run/initrd' })
    expect(await running.readFile('/proc/sys/kernel/random/boot_id')).not.toEqual(before)
    expect(await running.booted()).toBe('running')
    // What the firmware measured, it measured once.
    expect(await running.eventLog()).toEqual(firmware)
    expect(lines.join('\n')).not.toMatch(/BdsDxe/)
  })

  it('through the firmware is another boot, and its files and variables are there when it is off', async () => {
    await using running = await fork()
    const before = await running.readFile('/proc/sys/kernel/random/boot_id')
    await running.writeFile('/var/kept', 'kept')
    await running.reboot()
    expect(await running.readFile('/proc/sys/kernel/random/boot_id')).not.toEqual(before)
    expect((await running.readFile('/var/kept')).toString()).toBe('kept')
    await using stopped = await running.cutPower()
    const variables = await stopped.efiVariables()
    expect(variables.get('BootOrder')?.data.length).toBeGreaterThanOrEqual(2)
    await variables.set({ name: 'Mark', data: Buffer.from('made by a test') })
    expect(Buffer.from((await stopped.efiVariables()).get('Mark')?.data ?? []).toString()).toBe('made by a test')
    expect(await variables.delete('Mark')).toBe(true)
    expect(await variables.delete('Mark')).toBe(false)
    const disk = await stopped.disk()
    expect(disk.partitions.length).toBeGreaterThanOrEqual(2)
    const esp = disk.partitions.find(({ typeGuid }) => typeGuid === 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b')
    expect(esp).toBeDefined()
    // The signature of a boot sector.
    expect((await disk.read((esp?.offset ?? 0) + 510, 2)).toString('hex')).toBe('55aa')
    expect(() => disk.partition('no such')).toThrow(/There is no partition "no such"/)
    await expect(disk.read(disk.size, 1)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  })
})

it('takes a picture of a screen', async () => {
  const { spec, context: where } = await context({ screen: true })
  await using running = await machine(spec, where).start()
  const png = await running.screenshot(join(directory, 'screen.png'))
  expect(png.subarray(0, 8).toString('latin1')).toBe('\x89PNG\r\n\x1a\n')
  expect((await readFile(join(directory, 'screen.png'))).equals(png)).toBe(true)
})
