import { access, constants, copyFile, open, readFile, writeFile } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { BootwrightError, type NamespacedProcess, run } from '../system/index.ts'
import type { Toolchain } from '../toolchain/index.ts'
import { manufactureTpm, startTpm } from '../tpm/index.ts'
import { channelCredentials } from './channel-script.ts'
import type { PrivateNetwork } from './network.ts'
import { oemStrings, qemuCommand } from './qemu-command.ts'
import { Qmp } from './qmp.ts'
import { RunningMachine } from './running-machine.ts'
import type { MachineSpec } from './spec.ts'
import { makeStateDirectory, type StateDirectory } from './state-directory.ts'

/** What a machine runs in. */
export interface MachineContext {
  readonly toolchain: Toolchain
  readonly network: PrivateNetwork
  /** Where state directories are made, one for each machine. */
  readonly stateParent: string
  /** Name of the machine and of its state directory; unique below `stateParent`. */
  readonly name: string
}

export interface StartOptions {
  readonly signal?: AbortSignal | undefined
  /** A UNIX socket where a VNC client may look at the machine's screen. */
  readonly vncPath?: string
}

/** Configured, not running. Cheap to make, holds nothing that needs closing. */
export interface Machine {
  readonly spec: MachineSpec
  readonly name: string
  /** The first power-on: empty variable store, new TPM, an overlay over the image. */
  start(options?: StartOptions): Promise<RunningMachine>
}

/** Off, but its disk, variable store and TPM state are still there to inspect or boot again. */
export interface StoppedMachine extends AsyncDisposable {
  readonly spec: MachineSpec
  readonly name: string
  readonly directory: string
  /** Power on again with everything as it was left. */
  restart(options?: StartOptions): Promise<RunningMachine>
  /** Keeps the state directory when the scope is left. */
  keep(): Promise<void>
}

export function machine(spec: MachineSpec, context: MachineContext): Machine {
  return {
    spec,
    name: context.name,
    async start(options = {}) {
      options.signal?.throwIfAborted()
      await requireFiles(spec)
      await using scope = new AsyncDisposableStack()
      // QEMU takes a relative path of a backing file as one beside the overlay.
      const state = scope.use(await makeStateDirectory(resolve(context.stateParent), context.name))
      await prepare(spec, context, state, options.signal)
      const running = await powerOn(spec, context, state, options)
      scope.move()
      return running
    },
  }
}

async function requireFiles({ image, firmware }: MachineSpec): Promise<void> {
  await access(image.diskPath, constants.R_OK).catch((cause: Error) => {
    throw new BootwrightError('IMAGE_INCOMPLETE', `Cannot read the disk of image "${image.name}": ${cause.message}`, {
      cause,
      hint: 'Build the image again.',
    })
  })
  for (const path of [firmware.codePath, firmware.variablesPath]) {
    await access(path, constants.R_OK).catch((cause: Error) => {
      throw new BootwrightError('TOOL_MISSING', `Cannot read firmware "${firmware.name}": ${cause.message}`, {
        cause,
        hint: 'The package ovmf brings it: run `./bootwright setup`, or install it for --toolchain host.',
      })
    })
  }
}

async function prepare(
  spec: MachineSpec,
  context: MachineContext,
  state: StateDirectory,
  signal?: AbortSignal,
): Promise<void> {
  const { toolchain } = context
  // biome-ignore format: an option and its value on one line
  const overlay = toolchain.command([
    'qemu-img', 'create', '-q',
    '-f', 'qcow2',
    '-F', 'raw',
    '-b', resolve(spec.image.diskPath),
    join(state.path, 'disk.qcow2'),
  ])
  // All of them are over before the directory may go.
  const outcomes = await Promise.allSettled([
    run(overlay, { signal }),
    copyFile(spec.firmware.variablesPath, join(state.path, 'variables.fd')),
    spec.tpm === 'absent' ? undefined : manufactureTpm(toolchain, join(state.path, 'tpm'), spec.tpm.banks, signal),
  ])
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
}

async function powerOn(
  spec: MachineSpec,
  context: MachineContext,
  state: StateDirectory,
  options: StartOptions,
): Promise<RunningMachine> {
  options.signal?.throwIfAborted()
  const { toolchain, network } = context
  const channel = spec.channel ? channelCredentials() : { credentials: {}, kernelCommandLineExtra: [] }
  const strings = oemStrings({ ...channel.credentials, ...spec.credentials }, [
    ...channel.kernelCommandLineExtra,
    ...spec.kernelCommandLineExtra,
  ])
  const tapName = await network.addTap()
  await using scope = new AsyncDisposableStack()
  const tpm =
    spec.tpm === 'absent'
      ? undefined
      : startTpm(toolchain, network.namespace, join(state.path, 'tpm'), join(state.path, 'tpm.log'))
  if (tpm !== undefined) {
    scope.defer(() => tpm.process.end())
    scope.defer(() => void tpm.control.destroy())
  }
  const argv = qemuCommand(spec, {
    overlayPath: join(state.path, 'disk.qcow2'),
    variablesPath: join(state.path, 'variables.fd'),
    consoleLogPath: join(state.path, 'console.log'),
    tapName,
    descriptors: { qmp: 3, console: 4, channel: spec.channel ? 5 : undefined, tpm: tpm === undefined ? undefined : 6 },
    oemStrings: strings,
    display: options.vncPath === undefined ? 'none' : { vnc: `unix:${options.vncPath}` },
  })
  const command = toolchain.command(argv)
  await writeFile(
    join(state.path, 'machine.json'),
    `${JSON.stringify({ schema: 1, name: context.name, argv, oemStrings: strings, measured: measuredBy(spec) }, null, 2)}\n`,
  )
  const logPath = join(state.path, 'qemu.log')
  const log = await open(logPath, 'a')
  const qmpLog = await open(join(state.path, 'qmp.log'), 'a')
  const qemu = network.namespace.start(command, [
    'ignore',
    log.fd,
    log.fd,
    'pipe',
    'pipe',
    spec.channel ? 'pipe' : 'ignore',
    tpm?.control ?? 'ignore',
  ])
  scope.defer(() => qemu.end())
  void qemu.ended.then(() => qmpLog.close()).catch(() => undefined)
  // QEMU has its own copy now; with ours gone, swtpm ends when QEMU does.
  tpm?.control.destroy()
  const [, , , qmpSocket, consoleSocket, channelSocket] = qemu.child.stdio as unknown as Socket[]
  // Listened to before anything else is awaited: Node throws away what a child that has ended had to say.
  const greeted = Qmp.connect(qmpSocket as Socket, (line) => void qmpLog.write(`${line}\n`).catch(() => undefined))
  const [qmp] = await Promise.all([connected(greeted, qemu, logPath, options.signal), log.close()])
  const running = new RunningMachine({
    spec,
    name: context.name,
    state,
    qemu,
    tpm: tpm?.process,
    qmp,
    consoleSocket: consoleSocket as Socket,
    channelSocket: spec.channel ? (channelSocket as Socket) : undefined,
    measured: measuredBy(spec),
    powerOn: (again) => powerOn(spec, context, state, again),
  })
  await qmp.execute('cont')
  scope.move()
  return running
}

/** Resolves when QEMU is ready to be told what to do; rejects with its own words when it ends instead. */
async function connected(
  greeted: Promise<Qmp>,
  qemu: NamespacedProcess,
  logPath: string,
  signal: AbortSignal | undefined,
): Promise<Qmp> {
  const aborted = Promise.withResolvers<never>()
  const abort = () => aborted.reject(signal?.reason)
  signal?.addEventListener('abort', abort, { once: true })
  if (signal?.aborted === true) abort()
  try {
    return await Promise.race([greeted, aborted.promise])
  } catch (cause) {
    signal?.throwIfAborted()
    // It has closed its socket: the rest of its end takes a moment.
    await Promise.race([qemu.ended, sleep(1_000, undefined, { ref: false })])
    await qemu.end()
    const { exitCode, signal: by } = await qemu.ended
    const words = (await readFile(logPath, 'utf8')).trim().split('\n').slice(-5).join('\n')
    throw new BootwrightError(
      'HELPER_EXITED',
      `QEMU did not start: it ended with ${by ?? `status ${exitCode}`}: ${words || 'no word why'}`,
      { cause, hint: `It was started as: ${qemu.commandLine}` },
    )
  } finally {
    signal?.removeEventListener('abort', abort)
  }
}

/** What of a machine's own making ends up in which PCR: a prediction for the bare image differs there. */
export interface MeasuredInput {
  readonly what: string
  readonly pcrs: readonly number[]
}

function measuredBy(spec: MachineSpec): MeasuredInput[] {
  const inputs: MeasuredInput[] = []
  if (spec.channel) {
    inputs.push({ what: 'guest channel: script and unit as SMBIOS type 11 credentials', pcrs: [1] })
    inputs.push({ what: 'guest channel: systemd.wants= on the kernel command line', pcrs: [1, 9, 12] })
  }
  if (Object.keys(spec.credentials).length > 0)
    inputs.push({ what: 'credentials as SMBIOS type 11 strings', pcrs: [1] })
  if (spec.kernelCommandLineExtra.length > 0) inputs.push({ what: 'extra kernel command line', pcrs: [1, 9, 12] })
  if (Object.keys(spec.smbios).length > 0) inputs.push({ what: 'SMBIOS identity of the cloud', pcrs: [1] })
  inputs.push({ what: 'UUID of the machine: SMBIOS type 1, and the machine ID of a first boot', pcrs: [1, 15] })
  return inputs
}
