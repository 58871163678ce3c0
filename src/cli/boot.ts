import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, rm } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { Command } from 'commander'
import { cloudNamed } from '../cloud/index.ts'
import {
  DEFAULT_SPEC,
  firmwareNamed,
  type MachineSpec,
  machine,
  type RunningMachine,
  reapStateDirectories,
} from '../machine/index.ts'
import { instanceIn, macAddressIn, openScene } from '../scene/index.ts'
import { BootwrightError } from '../system/index.ts'
import { Cache, cacheDirectory } from '../toolchain/index.ts'
import { machineStates, makeRunDirectory } from '../verify/index.ts'
import { buildImage, checkNames, cloudOption, removedIfNothingRan } from './image-steps.ts'
import { FIRMWARE, OUT } from './paths.ts'
import { Progress } from './progress.ts'
import {
  chooseAccelerator,
  prepareToolchain,
  type ToolchainOptions,
  withToolchainOptions,
} from './toolchain-options.ts'
import { wholeNumber } from './whole-number.ts'

interface BootOptions extends ToolchainOptions {
  readonly cloud: string
  readonly firmware: string
  readonly sign: boolean
  readonly keep: boolean
  readonly vnc?: number
  readonly tpm: boolean
  readonly memory: number
  readonly cores: number
}

/** Ctrl-a, then x: as QEMU does it on its own terminal. */
const ESCAPE = 0x01
const LEAVE = 'x'.charCodeAt(0)

export function bootCommand(signal: AbortSignal): Command {
  return withToolchainOptions(new Command('boot'))
    .summary('boot an image with its serial console on this terminal; Ctrl-a x leaves')
    .argument('<image>', 'name of the image')
    .option('--cloud <name>', 'the cloud to boot in, or none', 'none')
    .option('--firmware <name>', 'the firmware variant', 'plain')
    .option('--no-sign', 'leave the image unsigned, whatever the firmware wants')
    .option('--no-tpm', 'boot without a TPM')
    .option('--memory <MiB>', 'memory of the machine', wholeNumber('--memory', 256), DEFAULT_SPEC.memoryMiB)
    .option('--cores <number>', 'cores of the machine', wholeNumber('--cores', 1), DEFAULT_SPEC.cores)
    .option('--vnc <port>', "serve the machine's screen on this port of 127.0.0.1", wholeNumber('--vnc', 1, 65_535))
    .option('--keep', "keep the machine's disk, variable store and TPM state", false)
    .action((image: string, options: BootOptions) => boot(image, options, signal))
}

async function boot(image: string, options: BootOptions, signal: AbortSignal): Promise<void> {
  using progress = new Progress()
  const cloudName = cloudOption(options.cloud)
  await checkNames({ images: [image], cloud: cloudName, firmware: options.firmware })
  const toolchain = await prepareToolchain(options, progress, signal)
  const firmware = await firmwareNamed(FIRMWARE, options.firmware, toolchain, new Cache())
  const built = await buildImage(image, toolchain, progress, signal, {
    snapshot: options.snapshot,
    firmware,
    sign: options.sign,
  })
  const stateParent = machineStates(cacheDirectory())
  await mkdir(stateParent, { recursive: true })
  await reapStateDirectories(stateParent)
  const runDirectory = await makeRunDirectory(join(OUT, 'runs'), new Date())
  await using _tidy = removedIfNothingRan(runDirectory.path)
  const provider = cloudName === undefined ? undefined : cloudNamed(cloudName)
  const macAddress = macAddressIn(provider)
  const cloud = provider === undefined ? undefined : { provider, instance: instanceIn(provider, macAddress) }
  await using scene = await openScene({ toolchain, directory: runDirectory.path, cloud, macAddress, signal })
  const smbios = cloud === undefined ? {} : cloud.provider.smbios(cloud.instance)
  const spec: MachineSpec = {
    ...DEFAULT_SPEC,
    image: built,
    firmware,
    tpm: options.tpm ? DEFAULT_SPEC.tpm : 'absent',
    accelerator: await chooseAccelerator(toolchain, firmware.needsSmm, signal),
    memoryMiB: options.memory,
    cores: options.cores,
    smbios,
    uuid: smbios.system?.uuid ?? crypto.randomUUID(),
    macAddress,
    channel: false,
  }
  const configured = machine(spec, { toolchain, network: scene.network, stateParent, name: runDirectory.id })
  const vncPath =
    options.vnc === undefined ? undefined : join('/tmp', `bootwright-vnc-${randomBytes(4).toString('hex')}`)
  {
    await using running = await configured.start({ signal, ...(vncPath === undefined ? {} : { vncPath }) })
    await using _vnc =
      vncPath === undefined || options.vnc === undefined ? undefined : await forwardVnc(options.vnc, vncPath)
    if (options.keep) await running.keep()
    await attach(running, signal)
    await runDirectory.collect(running.directory)
    const kept = options.keep ? `; its state is kept in ${running.directory}` : ''
    process.stderr.write(`\r\nThe machine is off${kept}.\r\n`)
  }
}

/** Joins the terminal with the console until the machine goes off, the keys to leave are pressed, or we are told to end. */
async function attach(running: RunningMachine, signal: AbortSignal): Promise<void> {
  const { stdin, stdout } = process
  const stopBytes = running.console.onBytes((bytes) => stdout.write(bytes))
  const left = Promise.withResolvers<void>()
  let isEscaped = false
  const onInput = (chunk: Buffer) => {
    const passed: number[] = []
    for (const byte of chunk) {
      if (isEscaped && byte === LEAVE) return left.resolve()
      const isDoubled = isEscaped && byte === ESCAPE
      isEscaped = byte === ESCAPE && !isEscaped
      if (!isEscaped || isDoubled) passed.push(byte)
    }
    running.console.write(Uint8Array.from(passed))
  }
  const onAbort = () => left.resolve()
  if (stdin.isTTY) stdin.setRawMode(true)
  stdin.on('data', onInput)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    await Promise.race([running.off(), left.promise])
  } finally {
    stopBytes()
    stdin.off('data', onInput)
    signal.removeEventListener('abort', onAbort)
    if (stdin.isTTY) stdin.setRawMode(false)
    stdin.pause()
  }
}

/** The machine's screen is behind a UNIX socket: its network has no way out. */
async function forwardVnc(port: number, path: string): Promise<AsyncDisposable> {
  const server = createServer((client) => {
    const screen = connect(path)
    client.pipe(screen).pipe(client)
    client.on('error', () => screen.destroy())
    screen.on('error', () => client.destroy())
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening').catch((cause: Error) => {
    throw new BootwrightError('HOST_UNSUITABLE', `Cannot serve the screen on port ${port}: ${cause.message}`, {
      cause,
      hint: 'Choose another port for --vnc.',
    })
  })
  return {
    async [Symbol.asyncDispose]() {
      server.close()
      // QEMU removes it, unless it had to be killed.
      await rm(path, { force: true })
    },
  }
}
