import { once } from 'node:events'
import { copyFile, open, writeFile } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { run } from '../system/index.ts'
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
      await using scope = new AsyncDisposableStack()
      const state = scope.use(await makeStateDirectory(context.stateParent, context.name))
      await prepare(spec, context, state, options.signal)
      const running = await powerOn(spec, context, state, options)
      scope.move()
      return running
    },
  }
}

async function prepare(
  spec: MachineSpec,
  context: MachineContext,
  state: StateDirectory,
  signal?: AbortSignal,
): Promise<void> {
  const { toolchain } = context
  const overlay = toolchain.command([
    'qemu-img',
    'create',
    '-q',
    '-f',
    'qcow2',
    '-F',
    'raw',
    '-b',
    spec.image.diskPath,
    join(state.path, 'disk.qcow2'),
  ])
  await Promise.all([
    run(overlay, { signal }),
    copyFile(spec.firmware.variablesPath, join(state.path, 'variables.fd')),
    spec.tpm === 'absent' ? undefined : manufactureTpm(toolchain, join(state.path, 'tpm'), spec.tpm.banks, signal),
  ])
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
  scope.defer(() => tpm?.process.kill('SIGKILL'))
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
  const log = await open(join(state.path, 'qemu.log'), 'a')
  const qemu = network.namespace.start(command, [
    'ignore',
    log.fd,
    log.fd,
    'pipe',
    'pipe',
    spec.channel ? 'pipe' : 'ignore',
    tpm?.control ?? 'ignore',
  ])
  scope.defer(() => qemu.kill('SIGKILL'))
  await log.close()
  // QEMU has its own copy now; with ours gone, swtpm ends when QEMU does.
  tpm?.control.destroy()
  const [, , , qmpSocket, consoleSocket, channelSocket] = qemu.child.stdio as unknown as (Socket | null)[]
  if (!qmpSocket || !consoleSocket) await once(qemu.child, 'spawn')
  const qmpLog = await open(join(state.path, 'qmp.log'), 'a')
  qmpSocket?.once('close', () => void qmpLog.close())
  const qmp = await Qmp.connect(qmpSocket as Socket, (line) => void qmpLog.write(`${line}\n`).catch(() => undefined))
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

/** What of a machine's own making ends up in which PCR: a prediction for the bare image differs there. */
export interface MeasuredInput {
  readonly what: string
  readonly pcrs: readonly number[]
}

function measuredBy(spec: MachineSpec): MeasuredInput[] {
  const inputs: MeasuredInput[] = []
  if (spec.channel) {
    inputs.push({ what: 'guest channel: script and unit as SMBIOS type 11 credentials', pcrs: [1] })
    inputs.push({ what: 'guest channel: systemd.wants= on the kernel command line', pcrs: [9, 12] })
  }
  if (Object.keys(spec.credentials).length > 0)
    inputs.push({ what: 'credentials as SMBIOS type 11 strings', pcrs: [1] })
  if (spec.kernelCommandLineExtra.length > 0) inputs.push({ what: 'extra kernel command line', pcrs: [1, 9, 12] })
  if (Object.keys(spec.smbios).length > 0) inputs.push({ what: 'SMBIOS identity of the cloud', pcrs: [1] })
  return inputs
}
