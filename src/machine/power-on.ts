import { open, readFile, writeFile } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { BootwrightError, type NamespacedProcess } from '../system/index.ts'
import { startTpm } from '../tpm/index.ts'
import { channelCredentials } from './channel-script.ts'
import { diskFiles, diskPath } from './disk.ts'
import { recordFault } from './faults/fault-record.ts'
import type { MachineContext, StartOptions } from './machine.ts'
import { measuredBy } from './measured-input.ts'
import { restoreMemory } from './migration.ts'
import { oemStrings, qemuCommand } from './qemu-command.ts'
import { Qmp } from './qmp.ts'
import { RunningMachine } from './running-machine.ts'
import type { MachineSpec } from './spec.ts'
import type { StateDirectory } from './state-directory.ts'

/**
 * Starts the helpers of a machine on its state directory, and lets it run.
 *
 * @param ramPath memory and device state to go on with; without it the machine starts with its firmware
 */
export async function powerOn(
  spec: MachineSpec,
  context: MachineContext,
  state: StateDirectory,
  options: StartOptions,
  ramPath?: string,
): Promise<RunningMachine> {
  options.signal?.throwIfAborted()
  const { toolchain, network } = context
  const strings = machineOemStrings(spec)
  const tapNames: string[] = []
  for (const _card of [spec.macAddress, ...(spec.furtherMacAddresses ?? [])]) tapNames.push(await network.addTap())
  await using scope = new AsyncDisposableStack()
  const tpm =
    spec.tpm === 'absent'
      ? undefined
      : startTpm(network.namespace, join(state.path, 'tpm'), join(state.path, 'tpm.log'))
  if (tpm !== undefined) {
    scope.defer(() => tpm.process.end())
    scope.defer(() => void tpm.control.destroy())
  }
  const argv = qemuCommand(spec, {
    diskPaths: diskFiles(spec).map((disk) => diskPath(state.path, disk)),
    variablesPath: join(state.path, 'variables.fd'),
    consoleLogPath: join(state.path, 'console.log'),
    tapNames,
    descriptors: { qmp: 3, console: 4, channel: spec.channel ? 5 : undefined, tpm: tpm === undefined ? undefined : 6 },
    oemStrings: strings,
    ...clockOf(spec),
    isIncoming: ramPath !== undefined,
    display: options.vncPath === undefined ? 'none' : { vnc: `unix:${options.vncPath}` },
  })
  const command = network.namespace.tool(argv)
  await writeFile(
    join(state.path, 'machine.json'),
    `${JSON.stringify({ schema: 1, name: context.name, argv, oemStrings: strings, measured: measuredBy(spec) }, null, 2)}\n`,
  )
  if (spec.clockOffsetSeconds !== undefined) {
    await recordFault(state.path, 'clock offset', { seconds: spec.clockOffsetSeconds })
  }
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
    toolchain,
    state,
    qemu,
    tpm: tpm?.process,
    qmp,
    consoleSocket: consoleSocket as Socket,
    channelSocket: spec.channel ? (channelSocket as Socket) : undefined,
    measured: measuredBy(spec),
    isResumed: ramPath !== undefined,
    silenceMs: options.silenceMs,
    powerOn: (again, as) => powerOn(as.spec, context, as.state, again),
  })
  if (ramPath !== undefined) await restoreMemory(qmp, ramPath)
  await options.beforeStart?.(running)
  await qmp.execute('cont')
  scope.move()
  return running
}

/** Strings of SMBIOS type 11 of a machine: what it is given, and what it takes to run commands in it. */
export function machineOemStrings(spec: MachineSpec): string[] {
  const channel = spec.channel ? channelCredentials() : { credentials: {}, kernelCommandLineExtra: [] }
  return oemStrings({ ...channel.credentials, ...spec.credentials }, [
    ...channel.kernelCommandLineExtra,
    ...spec.kernelCommandLineExtra,
  ])
}

/** Rejects with `INVALID_ARGUMENT` for a time that a real-time clock cannot show. */
function clockOf({ clockOffsetSeconds: offset = 0 }: MachineSpec): { clockBase?: string } {
  if (offset === 0) return {}
  const at = new Date(Date.now() + offset * 1_000)
  const year = Number.isNaN(at.getTime()) ? Number.NaN : at.getUTCFullYear()
  if (!(year >= 1970 && year <= 9999)) {
    throw new BootwrightError(
      'INVALID_ARGUMENT',
      `Expected a clock offset that ends between 1970 and 9999, found ${offset} s`,
    )
  }
  return { clockBase: at.toISOString().slice(0, 19) }
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
