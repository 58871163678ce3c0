import { compareVersions } from '../../formats/index.ts'
import { BootwrightError } from '../../system/index.ts'
import { type Destination, destinationOf } from '../destination.ts'
import type { FoundTransfer } from '../open-updates.ts'
import { acquireProblem, instanceOf, type UpdatePlan, type UpdateSet } from '../plan.ts'
import type { Instance } from '../types.ts'
import { contentWord, readAcquired } from './acquired-record.ts'
import type { Run } from './run.ts'

/** One transfer's share of a version, and what is left to do for it. */
export interface Part {
  readonly transfer: FoundTransfer
  /** Its place among the transfers. */
  readonly index: number
  /** Its source; of what is there already, itself. */
  readonly instance: Instance
  readonly destination: Destination
  readonly todo: 'acquire' | 'install'
  /** What waits to be installed, but was acquired from something else. */
  readonly replaces?: Instance
}

/** A version, with those of its parts that are not installed yet, in the order of the transfers. */
export interface PreparedUpdate {
  readonly set: UpdateSet
  readonly parts: readonly Part[]
}

/**
 * Chooses a version to acquire, and says where each part goes. Undefined when there is nothing to do, which is told. Rejects with
 * `UPDATE_REFUSED` for a version that is not there, cannot be had, or has names that cannot be; nothing has changed then.
 */
export function prepareAcquisition(
  run: Run,
  found: readonly FoundTransfer[],
  plan: UpdatePlan,
  version: string | undefined,
): PreparedUpdate | undefined {
  const set = chosenSet(run, plan, version)
  if (set === undefined) return undefined
  const problem = acquireProblem(set, run.behaviour)
  if (isInstalledWhole(run, set)) return undefined
  const { isIncomplete, isPartial, isPending } = set
  if (!isIncomplete && isPartial) {
    if (problem === undefined)
      info(run, `Selected update '${set.version}' was acquired in part only. Acquiring the rest.`)
  } else if (!isIncomplete && isPending) {
    info(run, `Selected update '${set.version}' is already acquired and pending installation.`)
    return prepareInstallation(run, found, plan, version)
  }
  if (problem !== undefined) throw refused(problem)
  tellOrder(run, plan, set)
  const acquired = readAcquired(run, set.version)
  const parts = found.flatMap((transfer, at): Part[] => {
    const there = instanceOf(transfer.installed, set.version)
    if (there?.state === 'complete') return []
    if (there?.state === 'pending') {
      const source = instanceOf(transfer.available, set.version)
      const isSame =
        run.behaviour === 'original' || source === undefined || acquired[transfer.id] === contentWord(source)
      if (isSame) return [partOf(run, transfer, at, there, 'install')]
      return [{ ...partOf(run, transfer, at, source, 'acquire'), replaces: there }]
    }
    const instance = there === undefined ? set.instances[at] : instanceOf(transfer.available, set.version)
    if (instance === undefined) throw new BootwrightError('BUG', `${transfer.id} has no source of ${set.version}`)
    return [partOf(run, transfer, at, instance, 'acquire')]
  })
  return { set, parts }
}

/** The same for a version that is acquired already, and only to be installed. */
export function prepareInstallation(
  run: Run,
  found: readonly FoundTransfer[],
  plan: UpdatePlan,
  version: string | undefined,
): PreparedUpdate | undefined {
  const set = chosenSet(run, plan, version)
  if (set === undefined) return undefined
  if (isInstalledWhole(run, set)) return undefined
  const { isIncomplete, isPartial, isPending, isObsolete } = set
  if (isPartial) throw refused(`Selected update '${set.version}' is only partially downloaded, refusing.`)
  if (!isPending) throw refused(`Selected update '${set.version}' is not pending installation, refusing.`)
  if (isIncomplete || set.instances.includes(undefined)) {
    throw refused(`Selected update '${set.version}' lacks a part, and cannot be installed before that is acquired.`)
  }
  if (isObsolete) throw refused(`Selected update '${set.version}' is obsolete, refusing.`)
  tellOrder(run, plan, set)
  const parts = found.flatMap((transfer, at): Part[] => {
    const there = instanceOf(transfer.installed, set.version)
    return there?.state === 'pending' ? [partOf(run, transfer, at, there, 'install')] : []
  })
  return { set, parts }
}

function chosenSet(run: Run, { sets, candidate }: UpdatePlan, version: string | undefined): UpdateSet | undefined {
  if (version === undefined) {
    if (candidate === undefined) info(run, 'No update needed.')
    return candidate
  }
  const set = sets.find((one) => one.version === version)
  if (set === undefined) throw refused(`Update '${version}' not found.`)
  return set
}

/** Tells of a version that is installed already; whether nothing of it is missing. */
function isInstalledWhole(run: Run, { version, isIncomplete, isPartial, isPending, isInstalled }: UpdateSet): boolean {
  if (isIncomplete) info(run, `Selected update '${version}' is already installed, but incomplete. Repairing.`)
  const isWhole = isInstalled && !isIncomplete && !isPartial && !isPending
  if (isWhole) info(run, `Selected update '${version}' is already installed. Skipping update.`)
  return isWhole
}

function tellOrder({ tell }: Run, { newestInstalled }: UpdatePlan, { version, isNewest }: UpdateSet): void {
  if (!isNewest) tell({ kind: 'notice', text: `Selected update '${version}' is not the newest, proceeding anyway.` })
  if (newestInstalled !== undefined && compareVersions(newestInstalled.version, version) > 0) {
    const text = `Selected update '${version}' is older than newest installed version, proceeding anyway.`
    tell({ kind: 'notice', text })
  }
  tell({ kind: 'info', text: `Selected update '${version}' for install.` })
}

function partOf(
  { behaviour }: Run,
  transfer: FoundTransfer,
  index: number,
  instance: Instance,
  todo: Part['todo'],
): Part {
  return { transfer, index, instance, destination: destinationOf(transfer, instance, transfer.place, behaviour), todo }
}

function info({ tell }: Run, text: string): void {
  tell({ kind: 'info', text })
}

function refused(message: string): BootwrightError {
  return new BootwrightError('UPDATE_REFUSED', message)
}
