import { compareVersions } from '../formats/index.ts'
import type { Instance } from './types.ts'

/** What the planner has to know of a transfer, with what was found for it. */
export interface PlannedTransfer {
  readonly id: string
  readonly minVersion: string | undefined
  readonly protectVersions: readonly string[]
  readonly installed: readonly Instance[]
  /** Empty when sources were not asked. */
  readonly available: readonly Instance[]
}

/** One version of the whole system, over all transfers. */
export interface UpdateSet {
  readonly version: string
  /** One for each transfer, in their order; undefined where it is missing. */
  readonly instances: readonly (Instance | undefined)[]
  readonly isInstalled: boolean
  readonly isAvailable: boolean
  readonly isNewest: boolean
  /** A target is written only in part. */
  readonly isPartial: boolean
  /** A target is there, but not activated. */
  readonly isPending: boolean
  readonly isIncomplete: boolean
  readonly isObsolete: boolean
  readonly isProtected: boolean
  /** It has burnt all its tries, now or before it was deleted, and another version is running: it does not boot. */
  readonly isFailed: boolean
}

export interface UpdatePlan {
  /** Newest first. */
  readonly sets: readonly UpdateSet[]
  readonly newestInstalled: UpdateSet | undefined
  readonly candidate: UpdateSet | undefined
  /** Why there is this candidate, or none. */
  readonly reason: string
}

/**
 * `original` treats an unfinished version as systemd 262 does: anything unfinished hides what is missing, and a partial
 * version stands in the way until it is vacuumed away. `correct` counts what is missing as missing, and takes over.
 */
export type PlanBehaviour = 'original' | 'correct'

/**
 * Puts instances together to versions, and chooses what to install. Pure; transfers are the enabled ones, in order.
 *
 * @param running the version that is booted, where it is one of these
 * @param failedBefore versions that have burnt all their tries at some time
 */
export function planUpdate(
  transfers: readonly PlannedTransfer[],
  behaviour: PlanBehaviour = 'correct',
  running?: string,
  failedBefore: readonly string[] = [],
): UpdatePlan {
  const sets: UpdateSet[] = []

  for (const { version, instances } of inStep(transfers.map(({ installed }) => installed))) {
    const isPartial = instances.some((instance) => instance?.state === 'partial')
    const isPending = instances.some((instance) => instance?.state === 'pending')
    const isMissing = instances.includes(undefined)
    const isHidden = behaviour === 'original' && (isPartial || isPending)
    sets.push({
      version,
      instances,
      isInstalled: true,
      isAvailable: false,
      isNewest: sets.length === 0,
      isPartial,
      isPending,
      isIncomplete: isMissing && !isHidden,
      isFailed: behaviour === 'correct' && isFailedVersion(version, instances, running),
      ...judge(version, transfers),
    })
  }

  const installed = [...sets]
  let at = 0
  let isFirst = true
  for (const { version, instances } of inStep(transfers.map(({ available }) => available))) {
    // What the server does not have in full nobody is offered.
    if (instances.includes(undefined)) continue
    // Both are newest first.
    while (compareVersions(installed[at]?.version ?? version, version) > 0) at++
    const known = installed[at]
    const isNewest = isFirst && !sets.some((set) => set.isNewest && compareVersions(set.version, version) > 0)
    if (known === undefined || compareVersions(known.version, version) !== 0) {
      sets.push({
        version,
        instances,
        isInstalled: false,
        isAvailable: true,
        isNewest: isFirst && (behaviour === 'original' || isNewest),
        isPartial: false,
        isPending: false,
        isIncomplete: false,
        isFailed: behaviour === 'correct' && failedBefore.some((failed) => compareVersions(failed, version) === 0),
        ...judge(version, transfers),
      })
    } else {
      const isOpen = known.isIncomplete || known.isPartial || known.isPending
      sets[at] = {
        ...known,
        isAvailable: true,
        isNewest: known.isNewest,
        instances: isOpen ? known.instances.map((own, index) => own ?? instances[index]) : known.instances,
      }
    }
    isFirst = false
  }
  sets.sort((a, b) => compareVersions(b.version, a.version))
  return { sets, ...choose(sets, behaviour) }
}

function choose(
  sets: readonly UpdateSet[],
  behaviour: PlanBehaviour,
): Pick<UpdatePlan, 'newestInstalled' | 'candidate' | 'reason'> {
  const newestInstalled = sets.find((set) => set.isInstalled)
  // What does not boot is not offered, and not repaired; who names it gets it.
  const offered = sets.find((set) => set.isAvailable && (set.isInstalled || !set.isFailed))
  const said = (candidate: UpdateSet | undefined, reason: string) => ({ newestInstalled, candidate, reason })
  const fresh = offered !== undefined && !offered.isInstalled && !offered.isObsolete ? offered : undefined

  if (newestInstalled === undefined) {
    if (fresh !== undefined) return said(fresh, 'nothing is installed')
    return said(undefined, offered === undefined ? 'nothing is available' : `${offered.version} is obsolete`)
  }
  const { version, isIncomplete, isAvailable, isObsolete, isPartial, isPending, isFailed } = newestInstalled
  if (fresh !== undefined && compareVersions(fresh.version, version) > 0) {
    return said(fresh, `newer than ${version}, which is installed`)
  }
  if (isIncomplete && isAvailable && !isObsolete && !isFailed)
    return said(newestInstalled, 'it is installed, but lacks a part')
  if (isPending && !isPartial && !isIncomplete) return said(newestInstalled, 'it is there, but not activated')
  if (isPending || isPartial) {
    const canFinish = behaviour === 'original' || (isAvailable && !isObsolete)
    if (canFinish) return said(newestInstalled, 'an earlier run did not finish it')
  }
  if (fresh !== undefined && isIncomplete) return said(fresh, `${version} lacks a part and is not available any more`)
  return said(undefined, `${version} is installed, and nothing newer is available`)
}

/** What stands in the way of acquiring a version, in the words of systemd-sysupdate; undefined when nothing does. */
export function acquireProblem(set: UpdateSet, behaviour: PlanBehaviour): string | undefined {
  if (set.isPartial && behaviour === 'original') {
    return `Selected update '${set.version}' is already acquired and partially installed. Vacuum it to try installing again.`
  }
  const isWhole = set.isInstalled && !set.isIncomplete && !set.isPartial && !set.isPending
  if (isWhole || (set.isPending && !set.isPartial && !set.isIncomplete)) return undefined
  if (!set.isAvailable) return `Selected update '${set.version}' is not available, refusing.`
  if (set.isObsolete) return `Selected update '${set.version}' is obsolete, refusing.`
  return undefined
}

/** Boot counting (UAPI.1): the last try takes the counter to zero, and who comes up has none any more. */
export function isFailedVersion(
  version: string,
  instances: readonly (Instance | undefined)[],
  running: string | undefined,
): boolean {
  if (running === undefined || compareVersions(version, running) === 0) return false
  return instances.some((instance) => instance?.state === 'complete' && instance.fields.triesLeft === 0n)
}

function judge(version: string, transfers: readonly PlannedTransfer[]): { isObsolete: boolean; isProtected: boolean } {
  return {
    isObsolete: transfers.some(
      ({ minVersion }) => minVersion !== undefined && compareVersions(minVersion, version) > 0,
    ),
    isProtected: transfers.some(({ protectVersions }) => protectVersions.includes(version)),
  }
}

/** Newest first. Among what compares the same: complete before unfinished, then the first pattern, then the path. */
function byVersion(instances: readonly Instance[]): readonly Instance[] {
  const rank = { complete: 0, pending: 1, partial: 2 } as const
  return instances.toSorted(
    (a, b) =>
      compareVersions(b.fields.version, a.fields.version) ||
      rank[a.state] - rank[b.state] ||
      a.patternIndex - b.patternIndex ||
      Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)),
  )
}

/** The versions of all transfers, newest first and each once, with what each of them has of it. */
function* inStep(
  transfers: readonly (readonly Instance[])[],
): Generator<{ readonly version: string; readonly instances: readonly (Instance | undefined)[] }, void, void> {
  const left = transfers.map((instances) => byVersion(instances).values())
  const heads = left.map((list) => list.next().value)
  for (;;) {
    let version: string | undefined
    for (const head of heads) {
      if (head === undefined) continue
      if (version === undefined || compareVersions(head.fields.version, version) > 0) version = head.fields.version
    }
    if (version === undefined) return
    const isIt = (head: Instance | undefined): boolean =>
      head !== undefined && compareVersions(head.fields.version, version) === 0
    const instances = heads.map((head) => (isIt(head) ? head : undefined))
    for (const [index, list] of left.entries()) while (isIt(heads[index])) heads[index] = list.next().value
    yield { version, instances }
  }
}

/** What there is of a version; among what compares the same, as {@link planUpdate} has it. */
export function instanceOf(instances: readonly Instance[], version: string): Instance | undefined {
  return byVersion(instances.filter(({ fields }) => compareVersions(fields.version, version) === 0))[0]
}

/** What a set is called in a list, as systemd-sysupdate has it; where 262 aborts, `+pending` and `+partial` follow the rest. */
export function assessment(set: UpdateSet): string {
  let base: string
  if (set.isInstalled) base = set.isNewest ? 'current' : set.isProtected ? 'protected' : 'installed'
  else base = set.isNewest && !set.isObsolete && !set.isFailed ? 'candidate' : 'available'
  const suffixes = [
    set.isPartial ? 'partial' : set.isPending ? 'pending' : '',
    set.isObsolete ? 'obsolete' : '',
    set.isIncomplete ? 'incomplete' : '',
    set.isFailed ? 'failed' : '',
  ]
  return [base, ...suffixes.filter(Boolean)].join('+')
}
