import { mkdir, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readyToolchain, type Toolchain } from '../toolchain/index.ts'
import { type Machine, machine } from './machine.ts'
import { PrivateNetwork } from './network.ts'
import { DEFAULT_SPEC, type MachineSpec } from './spec.ts'

const toolchain = (await readyToolchain().catch(() => undefined)) as Toolchain
const scope = new AsyncDisposableStack()
const directory = await mkdtemp(join(tmpdir(), 'bootwright-machine-'))
scope.defer(() => rm(directory, { recursive: true, force: true }))

/** The network of all tests, or why there is none. */
async function openNetwork(): Promise<PrivateNetwork | string> {
  if (toolchain === undefined) return 'needs the tools: ./bootwright setup'
  try {
    const network = await PrivateNetwork.open(toolchain, { directory, addresses: [], names: {}, hosts: [] })
    scope.use(network)
    await network.addTap()
    return network
  } catch (error) {
    return (error as Error).message
  }
}

const network = await openNetwork()
// Where all is skipped nobody comes to it afterwards.
if (typeof network === 'string') await scope.disposeAsync()
afterAll(() => scope.disposeAsync())

/** Processes that have the directory of this test on their command line. */
async function processes(): Promise<string[]> {
  const found: string[] = []
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const line = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).replaceAll('\0', ' ')
    if (line.includes(`${directory}/states`)) found.push(line)
  }
  return found
}

describe.skipIf(typeof network === 'string')(`machine().start() that cannot succeed ${network}`, () => {
  const states = join(directory, 'states')
  let spec: MachineSpec

  beforeAll(async () => {
    const diskPath = join(directory, 'empty.raw')
    await writeFile(diskPath, '')
    await truncate(diskPath, 1024 * 1024)
    await mkdir(states)
    const ovmf = join(toolchain.root, 'usr/share/OVMF')
    spec = {
      ...DEFAULT_SPEC,
      image: { name: 'empty', version: '1', diskPath },
      firmware: {
        name: 'plain',
        codePath: join(ovmf, 'OVMF_CODE_4M.fd'),
        variablesPath: join(ovmf, 'OVMF_VARS_4M.fd'),
        needsSmm: false,
      },
      accelerator: 'tcg',
      uuid: '11111111-2222-4333-8444-555555555555',
    }
  })

  function configured(changes: Partial<MachineSpec>, where = network as PrivateNetwork): Machine {
    const context = { toolchain, network: where, stateParent: states, name: 'm' }
    return machine({ ...spec, ...changes }, context)
  }

  async function expectNothingLeft(): Promise<void> {
    expect(await readdir(states)).toEqual([])
    expect(await processes()).toEqual([])
  }

  it('names the disk that is not there', async () => {
    const image = { ...spec.image, diskPath: join(directory, 'none.raw') }
    await expect(configured({ image }).start()).rejects.toMatchObject({
      code: 'IMAGE_INCOMPLETE',
      message: expect.stringContaining('none.raw'),
    })
    await expectNothingLeft()
  })

  it.for(['codePath', 'variablesPath'])('names the firmware whose %s is not there', async (key) => {
    const firmware = { ...spec.firmware, [key]: join(directory, 'none.fd') }
    await expect(configured({ firmware }).start()).rejects.toMatchObject({
      code: 'TOOL_MISSING',
      message: expect.stringContaining('none.fd'),
    })
    await expectNothingLeft()
  })

  it('rejects a TPM without banks', async () => {
    await expect(configured({ tpm: { banks: [] } }).start()).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    await expectNothingLeft()
  })

  it('tells the words of a QEMU that ends at once', async () => {
    const codePath = join(directory, 'damaged.fd')
    await writeFile(codePath, 'no firmware')
    const start = configured({ firmware: { ...spec.firmware, codePath } }).start()
    await expect(start).rejects.toMatchObject({
      code: 'HELPER_EXITED',
      message: expect.stringMatching(/QEMU did not start: it ended with status 1: .*pflash0/s),
      hint: expect.stringContaining('qemu-system-x86_64'),
    })
    await expectNothingLeft()
  })

  it('starts nothing for a signal that was given before', async () => {
    await expect(configured({}).start({ signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow('enough')
    await expectNothingLeft()
  })

  it('ends a QEMU that never says anything with its signal, and swtpm with it', async () => {
    const silent: Toolchain = {
      ...toolchain,
      inside: (argv) =>
        toolchain.inside(argv[0] === 'qemu-system-x86_64' ? ['sh', '-c', 'exec sleep 1000', ...argv] : argv),
    }
    const options = { directory, addresses: [], names: {}, hosts: [] }
    await using quiet = await PrivateNetwork.open(silent, options)
    const abort = new AbortController()
    const start = configured({}, quiet).start({ signal: abort.signal })
    start.catch(() => undefined)
    while (!(await stat(join(states, 'm/qmp.log')).catch(() => undefined))) await sleep(20)
    abort.abort(new Error('enough'))
    await expect(start).rejects.toThrow('enough')
    await expectNothingLeft()
  })

  it('refuses a second machine of the same name, and leaves the first one alone', async () => {
    await using running = await configured({}).start()
    await expect(configured({}).start()).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    expect(await running.qmp.execute('query-status')).toHaveProperty('running', true)
    await running[Symbol.asyncDispose]()
    await expectNothingLeft()
  })
})
