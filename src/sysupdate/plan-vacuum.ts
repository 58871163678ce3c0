import { compareVersions } from '../formats/index.ts'
import { BootwrightError } from '../system/index.ts'
import type { Instance } from './types.ts'

export interface VacuumRequest {
  readonly installed: readonly Instance[]
  readonly isEnabled: boolean
  readonly isPartition: boolean
  /** Partitions of the type that hold nothing. */
  readonly emptySlots: number
  readonly instancesMax: number | undefined
  readonly protectVersions: readonly string[]
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
 * What to delete of one target so that there is room. Rejects with `INVALID_ARGUMENT` when there cannot be.
 *
 * Of a disabled transfer everything goes, except from partitions without a limit of their own.
 */
export function planVacuum(request: VacuumRequest): Removal[] {
  const { installed, isEnabled, isPartition, emptySlots, space } = request
  const removals: Removal[] = []
  const isKept = (version: string): boolean =>
    version === request.acquiring || request.protectVersions.includes(version)
  const whole: Instance[] = []
  for (const instance of installed) {
    if (instance.state === 'partial') removals.push({ instance, reason: 'partial' })
    else if (instance.state === 'pending' && !isKept(instance.fields.version)) {
      removals.push({ instance, reason: 'pending' })
    } else whole.push(instance)
  }
  const slots = emptySlots + installed.length
  if (isPartition && slots < 2) {
    throw new BootwrightError(
      'INVALID_ARGUMENT',
      `There are ${slots} partitions of the right type, but an update needs two`,
      {
        hint: 'Add partitions of this type, labelled _empty, with systemd-repart.',
      },
    )
  }
  const limit = isEnabled || (isPartition && request.instancesMax === undefined) ? limitOf(request, slots) : 0
  if (isEnabled && space >= limit) {
    throw new BootwrightError('INVALID_ARGUMENT', `At most ${limit} instances may be kept: no room for ${space} more`, {
      hint: 'Raise InstancesMax=.',
    })
  }
  const oldestFirst = whole.toSorted((a, b) => compareVersions(a.fields.version, b.fields.version))
  let count = whole.length
  let free = emptySlots + removals.length
  for (const instance of oldestFirst) {
    const isRoom = isEnabled ? count <= limit - space && (!isPartition || free >= space) : count <= limit
    if (isRoom) break
    if (isKept(instance.fields.version)) continue
    removals.push({ instance, reason: isEnabled ? 'old' : 'disabled' })
    count--
    free++
  }
  const isShort = isEnabled && space > 0 && (count > limit - space || (isPartition && free < space))
  if (isShort) {
    throw new BootwrightError(
      'INVALID_ARGUMENT',
      `Every one of the ${count} instances is protected: no room for a new one`,
      {
        hint: 'Take a version out of ProtectVersion=, or raise InstancesMax=.',
      },
    )
  }
  return removals
}

function limitOf({ instancesMax, isPartition }: VacuumRequest, slots: number): number {
  if (isPartition) return Math.min(instancesMax ?? slots, slots)
  return instancesMax ?? DEFAULT_MAX
}
