import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DEFAULT_SPEC, type MachineSpec, machine, PrivateNetwork, type RunningMachine } from '../src/machine/index.ts'
import { cacheDirectory } from '../src/toolchain/index.ts'
import { builtImage, hostAccelerator, plainFirmware, STATES, tools } from './support/scene.ts'

let directory: string
let network: PrivateNetwork
let running: RunningMachine
const scope = new AsyncDisposableStack()

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

beforeAll(async () => {
  const toolchain = await tools()
  directory = await mkdtemp(join(cacheDirectory(), 'machine-test-'))
  scope.defer(() => rm(directory, { recursive: true, force: true }))
  network = scope.use(await PrivateNetwork.open(toolchain, { directory, addresses: [], names: {}, hosts: [] }))
  const configured = machine(await spec(), { toolchain, network, stateParent: STATES, name: `test-${process.pid}` })
  running = scope.use(await configured.start())
  expect(await running.booted()).toBe('running')
})

afterAll(() => scope.disposeAsync())

const everyByte = Buffer.from(Array.from({ length: 256 }, (_, index) => index))

describe('a running machine', () => {
  it('runs commands, with their output and status apart', async () => {
    const result = await running.runUnchecked(['sh', '-c', 'printf out; printf err >&2; exit 3'])
    expect(result).toEqual({ exitCode: 3, stdout: Buffer.from('out'), stderr: Buffer.from('err') })
    await expect(running.run(['sh', '-c', 'echo sorry >&2; exit 4'])).rejects.toMatchObject({
      code: 'GUEST_COMMAND_FAILED',
      message: expect.stringContaining('sorry'),
    })
  })

  it('carries any bytes in and out', async () => {
    const bytes = Buffer.alloc(1024 * 1024, everyByte)
    await running.writeFile('/run/test/every byte', bytes, 0o600)
    expect((await running.readFile('/run/test/every byte')).equals(bytes)).toBe(true)
    const { stdout } = await running.runUnchecked(['stat', '-c', '%a %s', '/run/test/every byte'])
    expect(stdout.toString()).toBe(`600 ${bytes.length}\n`)
  })

  it('runs several commands at once', async () => {
    const order: string[] = []
    const slow = running.run(['sleep', '3']).then(() => order.push('slow'))
    await running.run(['true']).then(() => order.push('quick'))
    await slow
    expect(order).toEqual(['quick', 'slow'])
  })

  it('waits for units, and rejects at once for one that fails or is not there', async () => {
    await running.unitActive('multi-user.target')
    await running.runUnchecked(['systemd-run', '--unit=broken', 'false'])
    await expect(running.unitActive('broken.service')).rejects.toMatchObject({ code: 'GUEST_UNIT_FAILED' })
    await expect(running.unitActive('no-such.service')).rejects.toMatchObject({ code: 'GUEST_UNIT_FAILED' })
  })

  it('has a console that says what the kernel says', async () => {
    const seen = new Promise<string>((resolve) => {
      const stop = running.console.onLine((line) => {
        if (!line.includes('hello from the kernel')) return
        stop()
        resolve(line)
      })
    })
    await running.run(['sh', '-c', 'echo "<1>hello from the kernel" >/dev/kmsg'])
    expect(await seen).toMatch(/\[ *\d+\.\d+\] hello from the kernel$/)
  })

  it('ends every wait with the panic of its kernel', async () => {
    const configured = machine(await spec({ kernelCommandLineExtra: ['root=/dev/none', 'rdinit=/bin/false'] }), {
      toolchain: await tools(),
      network,
      stateParent: STATES,
      name: `test-${process.pid}-panic`,
    })
    await using panicking = await configured.start()
    await expect(panicking.booted()).rejects.toMatchObject({
      code: 'GUEST_PANIC',
      message: expect.stringMatching(/Kernel panic - not syncing[\s\S]*The end of its console/),
    })
  })

  it('comes back with its disk, variables and TPM after it was switched off', async () => {
    await running.writeFile('/var/kept', 'kept')
    await running.run(['sync'])
    const before = await running.run(['cat', '/etc/machine-id'])
    const stopped = await running.powerOff()
    await using again = await stopped.restart()
    expect(await again.booted()).not.toBe('')
    expect((await again.readFile('/var/kept')).toString()).toBe('kept')
    expect(await again.run(['cat', '/etc/machine-id'])).toEqual(before)
  })
})
