import { compareVersions } from '../formats/index.ts'
import { BootwrightError } from '../system/index.ts'
import { partitionTypeLabel } from './partition-types.ts'
import type { PlanBehaviour } from './plan.ts'
import type { Instance, Transfer } from './types.ts'

export interface VacuumRequest {
  readonly installed: readonly Instance[]
  readonly isEnabled: boolean
  /** Partitions of the type that hold nothing. */
  readonly emptySlots: number
  readonly target: Transfer['target']
  /** Undefined for what holds by itself: three files, or all slots. */
  readonly instancesMax: number | undefined
  readonly protectVersions: readonly string[]
  /** Versions that do not boot: they go before all others. */
  readonly failedVersions?: readonly string[]
  /** The version that room is made for: what there is of it stays. */
  readonly acquiring: string | undefined
  /** How many instances there has to be room for. */
  readonly space: number
}

export interface Removal {
  readonly instance: Instance
  readonly reason: 'partial' | 'pending' | 'old' | 'disabled'
}

const DEFAULT_MAX = 3

/**
 * What to delete of one target so that there is room. Rejects with `UPDATE_REFUSED` when there cannot be, before anything is
 * deleted; `original` lets that come out when the room is needed.
 *
 * Of a disabled transfer everything goes, except from partitions without a limit of their own.
 */
export function planVacuum(request: VacuumRequest, behaviour: PlanBehaviour = 'correct'): Removal[] {
  const { installed, isEnabled, target, space } = request
  const isPartition = target.type === 'partition'
  const isKept = (version: string): boolean =>
    version === request.acquiring || request.protectVersions.includes(version)
  const removals: Removal[] = []
  const whole: Instance[] = []
  for (const instance of installed) {
    const { state, fields } = instance
    if (state === 'partial') removals.push({ instance, reason: 'partial' })
    else if (state === 'pending' && !isKept(fields.version)) removals.push({ instance, reason: 'pending' })
    else whole.push(instance)
  }
  // What was unfinished is free from now on.
  const free = request.emptySlots + removals.length
  let limit = limitOf(request, isPartition)
  if (isPartition && isEnabled) {
    const slots = free + whole.length
    if (slots < 2) throw tooFewSlots(target)
    if (space >= slots)
      throw refused(
        `Asked to empty all partition table slots of the right type ${named(target)}, can't allow that. One instance must always remain.`,
      )
    limit = Math.min(limit, Math.max(0, whole.length - Math.max(0, space - free)))
  }
  const isFailed = ({ fields }: Instance): boolean => request.failedVersions?.includes(fields.version) === true
  const oldestFirst = whole.toSorted(
    (a, b) => Number(isFailed(b)) - Number(isFailed(a)) || compareVersions(a.fields.version, b.fields.version),
  )
  let count = whole.length
  for (const instance of oldestFirst) {
    if (count <= limit) break
    if (isKept(instance.fields.version)) continue
    removals.push({ instance, reason: isEnabled ? 'old' : 'disabled' })
    count--
  }
  const isShort = isPartition && isEnabled && free + whole.length - count < space
  if (isShort && behaviour === 'correct') {
    const kept = whole.map(({ fields }) => fields.version).join(', ')
    throw refused(`Every version in the partitions of type ${named(target)} is protected (${kept}): there is no room.`)
  }
  return removals
}

function limitOf({ instancesMax, isEnabled, space }: VacuumRequest, isPartition: boolean): number {
  const max = instancesMax ?? (isPartition ? Number.POSITIVE_INFINITY : DEFAULT_MAX)
  if (max === Number.POSITIVE_INFINITY) return max
  if (!isEnabled) return 0
  if (space < max) return max - space
  if (space === max) {
    throw refused("Asked to delete all possible instances, can't allow that. One instance must always remain.")
  }
  throw refused('Asked to delete more instances than total maximum allowed number of instances, refusing.')
}

function tooFewSlots(target: Transfer['target']): BootwrightError {
  const patterns = target.patterns.map(({ text }) => text).join('|')
  return refused(
    `Partition table has less than two partition slots of the right type ${named(target)} and matching the expected pattern '${patterns}', refusing.`,
  )
}

function named({ partitionType }: Transfer['target']): string {
  return `${partitionType} (${partitionTypeLabel(partitionType)})`
}

function refused(message: string): BootwrightError {
  return new BootwrightError('UPDATE_REFUSED', message, {
    hint: 'Raise InstancesMax=, take a version out of ProtectVersion=, or add partitions of this type, labelled _empty, with systemd-repart.',
  })
}
