import type { RetryOptions, RunLock } from '../install/index.ts'
import type { OpenedUpdates } from '../open-updates.ts'
import type { PlanBehaviour } from '../plan.ts'
import type { TargetPlace } from '../target-place.ts'

/** What a run that changes a system tells while it goes on. */
export type RunEvent =
  | { readonly kind: 'info' | 'notice' | 'warning'; readonly text: string }
  /** An instance goes: why, and what it is. */
  | { readonly kind: 'removing'; readonly reason: string; readonly path: string; readonly type: string }
  /** What is left to do for the version that is to be installed, in the order in which it is done. */
  | {
      readonly kind: 'chosen'
      readonly version: string
      readonly parts: readonly { readonly transfer: string; readonly todo: 'acquire' | 'install' }[]
    }
  | { readonly kind: 'acquiring'; readonly transfer: string; readonly from: string; readonly to: string }
  /** A step of the whole: `making-room` and `acquiring` come before anything is taken, `installing` before it is activated. */
  | {
      readonly kind: 'step'
      readonly step: 'making-room' | 'acquiring-all' | 'installing' | 'installed'
      readonly version: string
    }
  /** Of the transfer at `index` of `count`. */
  | {
      readonly kind: 'progress'
      readonly version: string
      readonly transfer: string
      readonly index: number
      readonly count: number
      readonly receivedBytes: number
      readonly totalBytes: number | undefined
    }

/** Everything that one run goes by. */
export interface Run {
  readonly opened: OpenedUpdates
  readonly component: string | undefined
  readonly behaviour: PlanBehaviour
  /** The version that is booted, where it is one of those that are updated: nothing of it is deleted. */
  readonly running: string | undefined
  /** In place of what each transfer says (`--instances-max=`). */
  readonly instancesMax: number | undefined
  readonly isSynced: boolean
  /** Whether what is installed is noted for a later cleanup. */
  readonly isRecorded: boolean
  readonly lock: RunLock | undefined
  readonly signal: AbortSignal | undefined
  readonly retry: RetryOptions
  tell(event: RunEvent): void
}

/** Takes all targets for one run. Rejects with `UPDATE_LOCKED`. */
export function lockTargets(lock: RunLock, places: readonly TargetPlace[]): void {
  for (const place of places) {
    if (place.kind === 'files') lock.holdDirectory(place.path)
    else lock.holdDisk(place.disk)
  }
}
