import { compareVersions } from '../../formats/index.ts'
import { BootwrightError } from '../../system/index.ts'
import {
  acquireParts,
  cleanUp,
  type FoundTransfer,
  findComponents,
  type InstalledPart,
  installParts,
  lockTargets,
  type OpenedUpdates,
  type PreparedUpdate,
  planUpdate,
  prepareAcquisition,
  prepareInstallation,
  type Run,
  type RunEvent,
  RunLock,
  recordedComponents,
  rememberFailed,
  repairTables,
  type UpdateSet,
  vacuum,
} from '../../sysupdate/index.ts'
import { parseBoolean } from '../parse-values.ts'
import { ToolFailure } from '../tool-failure.ts'
import type { ToolOutput } from '../tool-output.ts'
import { keepYoungGenerationSmall } from '../young-generation.ts'
import { tellFailure } from './failure.ts'
import { notifySubscribers } from './notify-subscribers.ts'
import { NoTransfersFailure, noTransfers, open, print, runningVersion, type SysupdateContext } from './open.ts'
import type { SysupdateOptions } from './options.ts'
import { progressLine } from './progress-line.ts'
import { bootedVersion, rebootNow } from './reboot.ts'
import { tellEvent } from './run-text.ts'
import { statusTeller } from './status.ts'

export class DisabledFailure extends ToolFailure {}

/** Who looks on while a target is updated. */
export interface UpdateWatch {
  tell(event: RunEvent): void
  /** Called once the target is taken for this run. */
  locked(): Promise<void>
}

interface Changed {
  readonly set: UpdateSet
  readonly parts: readonly InstalledPart[]
}

/** `update` and `acquire`: of the system, a component, or of all that are on. */
export async function update(
  options: SysupdateOptions,
  output: ToolOutput,
  context: SysupdateContext,
): Promise<number> {
  const booted = options.reboots ? bootedVersion() : undefined
  return untilSignal(async (signal) => {
    if (options.components === 'named') {
      const changed = await updateAndCleanUp(options, output, context, signal)
      if (booted !== undefined && changed !== undefined) await rebootInto(changed.set, booted, output)
      return 0
    }
    let status = 0
    for (const component of [undefined, ...findComponents(options.root).names]) {
      try {
        await updateAndCleanUp({ ...options, component }, output, context, signal)
      } catch (error) {
        signal.throwIfAborted()
        tellFailure(error, output)
        const isNoError =
          error instanceof DisabledFailure || (component === undefined && error instanceof NoTransfersFailure)
        if (!isNoError) status = 1
      }
    }
    return status
  })
}

/** A system without definitions is cleaned up all the same: its files are nobody's any more. */
async function updateAndCleanUp(
  options: SysupdateOptions,
  output: ToolOutput,
  context: SysupdateContext,
  signal: AbortSignal,
): Promise<Changed | undefined> {
  let changed: Changed | undefined
  let failure: NoTransfersFailure | undefined
  try {
    changed = await updateOne(options, output, context, signal)
  } catch (error) {
    if (!(error instanceof NoTransfersFailure)) throw error
    failure = error
  }
  const isClean = options.cleansUp !== true || cleanUpOne(options, output, context)
  if (failure !== undefined) throw failure
  if (!isClean) throw new ToolFailure('Not everything that is owned by nobody could be removed.')
  return changed
}

/** Acquires and installs one version of one system or component; undefined when there is nothing to install. */
export async function updateOne(
  options: SysupdateOptions,
  output: ToolOutput,
  context: SysupdateContext,
  signal: AbortSignal,
  watch?: UpdateWatch,
): Promise<Changed | undefined> {
  keepYoungGenerationSmall()
  const opened = open(options, output, context)
  if (!opened.transfers.some(({ isEnabled }) => isEnabled)) throw noTransfers(options.component)
  if (opened.component?.isEnabled === false) throw new DisabledFailure('Component is disabled.')
  using lock = lockFor(options, opened)
  await watch?.locked()
  const run = runOf(options, opened, output, { lock, signal, watch, ...context })
  await repairTables(run)
  const { isOffline, verify, compat, verb } = options
  if (!isOffline) run.tell({ kind: 'info', text: 'Discovering available instances…' })
  const warn = (text: string): void => run.tell({ kind: 'warning', text })
  const found = await opened.discover({ ...run.retry, signal, isOffline, verify, compat, warn })
  run.tell({ kind: 'info', text: 'Determining installed update sets…' })
  if (!isOffline) run.tell({ kind: 'info', text: 'Determining available update sets…' })
  const plan = planUpdate(found, run.behaviour, run.running, opened.failedBefore)
  rememberFailed(
    run,
    plan.sets.flatMap(({ version, isFailed }) => (isFailed ? [version] : [])),
  )
  const [version] = options.names
  const isAcquiring = verb === 'acquire' || !isOffline
  const prepared = (isAcquiring ? prepareAcquisition : prepareInstallation)(run, found, plan, version)
  const isNotified = verb === 'update' && options.root === '/' && options.image === undefined
  if (prepared !== undefined) {
    const parts = prepared.parts.map(({ transfer, todo }) => ({ transfer: transfer.id, todo }))
    run.tell({ kind: 'chosen', version: prepared.set.version, parts })
    await acquire(run, prepared, found, options, output)
    if (verb !== 'update') return undefined
    signal.throwIfAborted()
    const installed = await installParts(run, prepared)
    if (isNotified) await notifySubscribers(run.component, prepared.set.version, installed, warn)
    return { set: prepared.set, parts: installed }
  }
  const { SYSTEMD_SYSUPDATE_FORCE_NOTIFY: forced = '' } = context.environment ?? process.env
  if (isNotified && parseBoolean(forced) === true) await notifySubscribers(run.component, undefined, undefined, warn)
  return undefined
}

async function rebootInto({ version, isIncomplete }: UpdateSet, booted: string, output: ToolOutput): Promise<void> {
  const order = compareVersions(version, booted)
  if (order > 0) output.log('info', 'Newly installed version is newer than booted version, rebooting.')
  else if (order === 0 && isIncomplete) {
    output.log('info', 'Currently booted version was incomplete and has been repaired, rebooting.')
  } else {
    output.log('info', 'Booted version is newer or identical to newly installed version, not rebooting.')
    return
  }
  await rebootNow()
}

/** `cleanup`: of the system or a component, or of all that something was ever installed for. */
export function cleanupVerb(options: SysupdateOptions, output: ToolOutput, context: SysupdateContext): number {
  const isAll = options.components === 'all'
  const further = isAll ? recordedComponents(options.root) : []
  const results = [options.component, ...further].map((component) =>
    cleanUpOne({ ...options, component }, output, context),
  )
  return results.every(Boolean) ? 0 : 1
}

function cleanUpOne(options: SysupdateOptions, output: ToolOutput, context: SysupdateContext): boolean {
  const opened = open(options, output, context)
  using lock = lockFor(options, opened)
  return cleanUp(runOf(options, opened, output, { lock, ...context }))
}

async function acquire(
  run: Run,
  prepared: PreparedUpdate,
  found: readonly FoundTransfer[],
  options: SysupdateOptions,
  output: ToolOutput,
): Promise<void> {
  if (!prepared.parts.some(({ todo }) => todo === 'acquire')) return
  const { version } = prepared.set
  run.signal?.throwIfAborted()
  run.tell({ kind: 'step', step: 'making-room', version })
  await makeRoom(run, found, options, output, version)
  await acquireParts(run, prepared)
}

/** `vacuum`. */
export async function vacuumVerb(
  options: SysupdateOptions,
  output: ToolOutput,
  context: SysupdateContext,
): Promise<number> {
  const opened = open(options, output, context)
  if (opened.transfers.length === 0) throw noTransfers(options.component)
  using lock = lockFor(options, opened)
  const run = runOf(options, opened, output, { lock, ...context })
  await repairTables(run)
  const { verify, compat } = options
  const found = await opened.discover({ isOffline: true, verify, compat, warn: () => undefined })
  await makeRoom(run, found, options, output)
  return 0
}

async function makeRoom(
  run: Run,
  found: readonly FoundTransfer[],
  options: SysupdateOptions,
  output: ToolOutput,
  acquiring?: string,
): Promise<void> {
  const { removed, disabledTransfers } = await vacuum(run, found, acquiring)
  if (options.json !== 'off') {
    print(options, output, { removed, disabledTransfers })
    return
  }
  const parts = [
    ...(removed > 0 ? [`${removed} instances`] : []),
    ...(disabledTransfers > 0 ? [`${disabledTransfers} disabled transfers`] : []),
  ]
  run.tell({ kind: 'info', text: parts.length === 0 ? 'Found nothing to remove.' : `Removed ${parts.join(', and ')}.` })
}

/** The original takes no lock. */
function lockFor({ compat }: SysupdateOptions, { transfers }: OpenedUpdates): RunLock | undefined {
  if (compat) return undefined
  const lock = new RunLock()
  try {
    lockTargets(
      lock,
      transfers.map(({ place }) => place),
    )
    return lock
  } catch (error) {
    lock[Symbol.dispose]()
    throw error
  }
}

function runOf(
  options: SysupdateOptions,
  opened: OpenedUpdates,
  output: ToolOutput,
  {
    lock,
    signal,
    watch,
    retry = {},
    environment = process.env,
  }: Partial<Pick<Run, 'lock' | 'signal'>> & Partial<SysupdateContext> & { readonly watch?: UpdateWatch | undefined },
): Run {
  const { component, definitions, compat, instancesMax, isSynced } = options
  const tellStatus = statusTeller(environment.NOTIFY_SOCKET)
  const showProgress = output.isTerminal ? progressLine(output.error, () => performance.now()) : undefined
  return {
    opened,
    component,
    behaviour: compat ? 'original' : 'correct',
    running: runningVersion(options),
    instancesMax,
    isSynced,
    // What definitions of somebody's own have installed is nothing that a cleanup of the system may judge.
    isRecorded: compat || definitions === undefined,
    lock,
    signal,
    retry,
    tell: (event) => {
      showProgress?.(event)
      tellEvent(event, output)
      tellStatus(event)
      watch?.tell(event)
    },
  }
}

/** Lets what is half done be put away when somebody ends this process. */
export async function untilSignal<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController()
  const stop = (name: NodeJS.Signals): void => {
    controller.abort(new BootwrightError('INTERRUPTED', `Interrupted by ${name}: what was half done is put away.`))
  }
  process.once('SIGINT', stop).once('SIGTERM', stop)
  try {
    return await work(controller.signal)
  } finally {
    process.off('SIGINT', stop).off('SIGTERM', stop)
  }
}
