import { constants, copyFile, mkdtemp, open, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  BOOTED,
  DEFAULT_SPEC,
  type ForkOptions,
  forkMachine,
  type MachineSpec,
  PrivateNetwork,
  type RunningMachine,
} from '../src/machine/index.ts'
import type { BootwrightError } from '../src/system/index.ts'
import { Cache, cacheDirectory } from '../src/toolchain/index.ts'
import { builtImage, hostAccelerator, plainFirmware, STATES, tools } from './support/scene.ts'

const scope = new AsyncDisposableStack()
let spec: MachineSpec
/** Its own, so that the first fork of the file makes the snapshot. */
let cache: Cache
let directory: string
let made = 0

beforeAll(async () => {
  spec = {
    ...DEFAULT_SPEC,
    image: await builtImage('minimal'),
    firmware: await plainFirmware(),
    accelerator: await hostAccelerator(),
    uuid: '11111111-2222-4333-8444-555555555555',
    memoryMiB: 512,
  }
  directory = await mkdtemp(join(cacheDirectory(), 'fork-test-'))
  scope.defer(() => rm(directory, { recursive: true, force: true }))
  cache = new Cache(join(directory, 'cache'))
})

afterAll(() => scope.disposeAsync())

/** A machine in a network of its own. */
async function fork({
  spec: ofAnother,
  ...options
}: Partial<ForkOptions> & { readonly spec?: MachineSpec } = {}): Promise<RunningMachine & AsyncDisposable> {
  const own = await mkdtemp(join(directory, 'network-'))
  const toolchain = await tools()
  const network = scope.use(
    await PrivateNetwork.open(toolchain, { directory: own, addresses: [], names: {}, hosts: [] }),
  )
  const context = { toolchain, network, stateParent: STATES, name: `fork-${process.pid}-${made++}` }
  const point = {
    name: 'booted, with a mark',
    async reach(running: RunningMachine) {
      await BOOTED.reach(running, {})
      reached.push(await measurements(running))
      await running.writeFile('/run/mark', 'made once')
    },
  }
  return scope.use(await forkMachine(ofAnother ?? spec, context, { cache, point, ...options }))
}

/** What the machine that a snapshot was made of had measured. */
const reached: Record<string, string>[] = []

async function measurements(running: RunningMachine): Promise<Record<string, string>> {
  const { stdout } = await running.run(['sh', '-c', 'cd /sys/class/tpm/tpm0 && grep . pcr-*/*'])
  const log = await running.readFile('/sys/kernel/security/tpm0/binary_bios_measurements')
  const userspace = await running.readFile('/run/log/systemd/tpm2-measure.log')
  return { pcrs: stdout, log: log.toString('base64'), userspace: userspace.toString() }
}

describe('forkMachine()', () => {
  it('goes on where the machine was, with its PCRs and event logs, and boots it once', async () => {
    await using first = await fork()
    await using second = await fork()
    expect(reached).toHaveLength(1)
    expect(reached[0]?.pcrs).toMatch(/pcr-sha256\/11:[0-9A-F]{64}/)
    for (const machine of [first, second]) {
      expect((await machine.readFile('/run/mark')).toString()).toBe('made once')
      expect(await measurements(machine)).toEqual(reached[0])
    }
  })

  it('shares nothing between forks: disk, TPM, memory', async () => {
    await using one = await fork()
    await using other = await fork()
    await one.writeFile('/var/only-one', 'x')
    await one.run(['sh', '-c', 'echo changed >/run/mark; sync'])
    expect((await other.runUnchecked(['test', '-e', '/var/only-one'])).exitCode).toBe(1)
    expect((await other.readFile('/run/mark')).toString()).toBe('made once')
    const stopped = await one.cutPower()
    await using again = await stopped.restart()
    expect(await again.booted()).toBe('running')
    expect((await again.readFile('/var/only-one')).toString()).toBe('x')
  })

  it('begins four times at once', async () => {
    const four = await Promise.all(
      ['same', 'same', 'fresh', 'fresh'].map((identity) => fork({ identity } as ForkOptions)),
    )
    try {
      const marks = four.map((_, index) => `mark of fork ${index}`)
      await Promise.all(four.map((machine, index) => machine.writeFile('/var/own', marks[index] ?? '')))
      const found = await Promise.all(four.map(async (machine) => (await machine.readFile('/var/own')).toString()))
      expect(found).toEqual(marks)
      for (const measured of await Promise.all(four.map(measurements))) expect(measured).toEqual(reached[0])
    } finally {
      await Promise.all(four.map((machine) => machine[Symbol.asyncDispose]()))
    }
  })

  it('has the right time, and is who it was unless asked', async () => {
    await using same = await fork()
    await using fresh = await fork({ identity: 'fresh' })
    await using another = await fork({ identity: 'fresh' })
    const facts = async (machine: RunningMachine) => ({
      id: (await machine.readFile('/etc/machine-id')).toString().trim(),
      random: (await machine.run(['cat', '/proc/sys/kernel/random/uuid'])).stdout,
      skewS: Number((await machine.run(['date', '+%s'])).stdout) - Date.now() / 1000,
    })
    const [a, b, c] = [await facts(same), await facts(fresh), await facts(another)]
    expect(new Set([a.id, b.id, c.id]).size).toBe(3)
    expect(new Set([a.random, b.random, c.random]).size).toBe(3)
    for (const { skewS } of [a, b, c]) expect(Math.abs(skewS)).toBeLessThan(5)
    expect((await fresh.run(['journalctl', '--dmesg', '--grep=virtual machine fork', '--quiet'])).stdout).not.toBe('')
    expect((await same.runUnchecked(['journalctl', '--dmesg', '--grep=virtual machine fork'])).exitCode).not.toBe(0)
  })

  it('goes on from the snapshot of somebody whose own copy of the image is gone', async () => {
    const theirs = join(directory, 'their-image.raw')
    await copyFile(spec.image.diskPath, theirs, constants.COPYFILE_FICLONE)
    const before = reached.length
    const elsewhere = {
      cache: new Cache(join(directory, 'their-cache')),
      onFallback: (reason: BootwrightError) => reasons.push(reason),
    }
    const reasons: BootwrightError[] = []
    {
      await using _maker = await fork({ ...elsewhere, spec: { ...spec, image: { ...spec.image, diskPath: theirs } } })
    }
    await rm(theirs)
    await using running = await fork(elsewhere)
    expect(reasons).toEqual([])
    expect(reached).toHaveLength(before + 1)
    // Not in memory yet: it has to come from the disk.
    const { stdout } = await running.run([
      'sh',
      '-c',
      'echo 3 >/proc/sys/vm/drop_caches; sha256sum /usr/lib/os-release',
    ])
    expect(stdout).toMatch(/^[0-9a-f]{64} /)
  })

  it('boots from cold when the snapshot is broken, and says so', async () => {
    await using _whole = await fork()
    const [name = ''] = (await readdir(cache.path('snapshots'))).filter((entry) => !entry.startsWith('.'))
    const ram = await open(cache.path('snapshots', name, 'ram'), 'r+')
    await ram.write(Buffer.alloc(4096, 0xff), 0, 4096, 0)
    await ram.close()
    const reasons: BootwrightError[] = []
    await using running = await fork({ onFallback: (reason) => reasons.push(reason) })
    expect(reasons).toMatchObject([{ code: 'SNAPSHOT_FAILED' }])
    expect((await running.readFile('/run/mark')).toString()).toBe('made once')
    expect(await readdir(cache.path('snapshots'))).not.toContain(name)
  })

  it('never uses what was made of another spec', async () => {
    const toolchain = await tools()
    const network = scope.use(
      await PrivateNetwork.open(toolchain, {
        directory: await mkdtemp(join(directory, 'network-')),
        addresses: [],
        names: {},
        hosts: [],
      }),
    )
    const context = { toolchain, network, stateParent: STATES, name: `fork-${process.pid}-other` }
    const before = reached.length
    const reach = async (running: RunningMachine) => {
      reached.push({})
      // Any state will do.
      expect((await running.qmp.execute('query-status')).running).toBe(true)
    }
    const point = { name: 'switched on', reach }
    const options = { cache, point }
    const others: MachineSpec[] = [
      { ...spec, channel: false },
      { ...spec, channel: false, cores: 1 },
      { ...spec, channel: false, tpm: 'absent' },
    ]
    for (const other of [...others, ...others])
      await (await forkMachine(other, context, options))[Symbol.asyncDispose]()
    expect(reached.length - before).toBe(others.length)
  })
})
