import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, readFile, readlink, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { DEFAULT_SPEC, type MachineSpec, machine, PrivateNetwork, reapStateDirectories } from '../src/machine/index.ts'
import { cacheDirectory } from '../src/toolchain/index.ts'
import { builtImage, CHECKOUT, hostAccelerator, plainFirmware, STATES, tools } from './support/scene.ts'

/** The whole hundred takes minutes: it is part of `./bootwright test --all`. */
const STARTS = process.env.BOOTWRIGHT_TEST_ALL === '1' ? 100 : 8

/** What a look around sees of a machine that runs: it would also see what is left of one. */
const SEEN = {
  processes: expect.arrayContaining(['qemu-system', 'swtpm', 'dnsmasq'].map((name) => expect.stringContaining(name))),
  namespaces: [expect.stringMatching(/^net:/)],
}

let directory: string
let spec: MachineSpec

beforeAll(async () => {
  await tools()
  await mkdir(cacheDirectory(), { recursive: true })
  directory = await mkdtemp(join(cacheDirectory(), 'leftovers-'))
  // Whatever appears there is ours, under any name.
  await mkdir(join(directory, 'tmp'))
  vi.stubEnv('TMPDIR', join(directory, 'tmp'))
  const diskPath = join(directory, 'empty.raw')
  await writeFile(diskPath, '')
  await truncate(diskPath, 64 * 1024 * 1024)
  spec = {
    ...DEFAULT_SPEC,
    image: { name: 'empty', version: '1', diskPath },
    firmware: await plainFirmware(),
    accelerator: await hostAccelerator(),
    uuid: '11111111-2222-4333-8444-555555555555',
  }
})

afterAll(async () => {
  vi.unstubAllEnvs()
  await rm(directory, { recursive: true, force: true })
})

/**
 * Everything a machine could leave behind, as far as this process may see it. Others may have machines on this host as
 * well: a process is one of ours when its command line or, as all inherit our TMPDIR, its environment names the directory.
 * Namespaces and sockets are there only while a process or a mount holds them.
 */
async function traces(): Promise<Record<string, string[]>> {
  const processes: string[] = []
  const namespaces = new Set<string>()
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name) && name !== String(process.pid))) {
    const [line, environment] = await Promise.all(
      ['cmdline', 'environ'].map((name) => readFile(`/proc/${pid}/${name}`, 'utf8').catch(() => '')),
    )
    if (!`${line}\0${environment}`.includes(directory)) continue
    processes.push((line ?? '').replaceAll('\0', ' ').slice(0, 200))
    const namespace = await readlink(`/proc/${pid}/ns/net`).catch(() => undefined)
    if (namespace !== undefined) namespaces.add(namespace)
  }
  const mounts = (await readFile('/proc/self/mounts', 'utf8')).trim().split('\n')
  const sockets = (await readFile('/proc/self/net/unix', 'utf8')).split('\n').filter((line) => line.includes(directory))
  return {
    processes,
    mounts,
    sockets,
    namespaces: [...namespaces].sort(),
    files: (await readdir(directory)).sort(),
    temporary: (await readdir(tmpdir())).sort(),
  }
}

describe('machines', () => {
  it(`leave nothing behind after ${STARTS} starts and kills`, async () => {
    const before = await traces()
    for (let turn = 0; turn < STARTS; turn++) {
      const logs = await mkdtemp(join(directory, 'logs-'))
      await using network = await PrivateNetwork.open(await tools(), {
        directory: logs,
        addresses: [],
        names: {},
        hosts: [],
      })
      const configured = machine(spec, {
        toolchain: await tools(),
        network,
        stateParent: join(directory),
        name: `machine-${turn}`,
      })
      await using running = await configured.start()
      expect((await running.qmp.execute('query-status')).running).toBe(true)
      if (turn === 0) expect(await traces()).toMatchObject(SEEN)
      await rm(logs, { recursive: true })
    }
    expect(await traces()).toEqual(before)
  })

  it.for(['SIGINT', 'SIGTERM'] as const)('leave nothing behind when `bootwright verify` gets %s', async (name) => {
    await builtImage('minimal')
    const before = await traces()
    const states: string[] = await readdir(STATES).catch(() => [])
    const verify = spawn(join(CHECKOUT, 'bootwright'), ['verify', 'minimal', '--cloud', 'none'], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    let said = ''
    const booting = Promise.withResolvers<void>()
    verify.stderr.on('data', (chunk: Buffer) => {
      said += chunk.toString()
      if (/ boot \.\.\./.test(said)) booting.resolve()
    })
    const ended = once(verify, 'exit')
    await Promise.race([booting.promise, ended])
    // It is deep in the firmware by then.
    await sleep(2_000)
    verify.kill(name)
    expect(await ended).toEqual([130, null])
    expect(said).toContain(`Interrupted by ${name}`)
    // It may have cleared up what an earlier run had to leave.
    const left = await readdir(STATES).catch(() => [])
    expect(left.filter((state) => !states.includes(state))).toEqual([])
    expect(await traces()).toEqual(before)
  })

  it('leave nothing behind when their owner is killed', async () => {
    const before = await traces()
    const states = join(directory, 'states')
    const script = `
      const { PrivateNetwork, machine } = await import(${JSON.stringify(new URL('../src/machine/index.ts', import.meta.url).href)})
      const { setUp } = await import(${JSON.stringify(new URL('../src/toolchain/index.ts', import.meta.url).href)})
      const toolchain = await setUp()
      const network = await PrivateNetwork.open(toolchain, { directory: ${JSON.stringify(directory)}, addresses: [], names: {}, hosts: [] })
      const spec = ${JSON.stringify(spec)}
      await machine(spec, { toolchain, network, stateParent: ${JSON.stringify(states)}, name: 'orphan' }).start()
      process.stdout.write('started')
      setInterval(() => {}, 1000)`
    const owner = spawn(process.execPath, ['--input-type=module', '--eval', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await once(owner.stdout, 'data')
    expect((await traces()).processes?.some((line) => line.includes('qemu-system'))).toBe(true)
    owner.kill('SIGKILL')
    await once(owner, 'exit')
    // The kernel ends what is in the namespaces; that takes a moment, and those go last whose command line names nothing.
    await vi.waitFor(
      async () => {
        const { processes, namespaces } = await traces()
        expect({ processes, namespaces }).toEqual({ processes: before.processes, namespaces: before.namespaces })
      },
      { timeout: 10_000, interval: 100 },
    )
    expect(await reapStateDirectories(states)).toEqual(['orphan'])
    await rm(states, { recursive: true })
    for (const name of ['dnsmasq.log', 'dhcp.leases', 'dhcp-hosts', 'hosts']) {
      await rm(join(directory, name), { recursive: true, force: true })
    }
    expect(await traces()).toEqual(before)
  })
})
