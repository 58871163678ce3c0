import { removeTemporary, removeTemporaryFromFat } from '../install/index.ts'
import type { FoundTransfer } from '../open-updates.ts'
import { instanceOf, isFailedVersion } from '../plan.ts'
import { planVacuum, type Removal } from '../plan-vacuum.ts'
import { rememberFailed } from './failed-record.ts'
import { removeInstance } from './remove-instance.ts'
import type { Run } from './run.ts'

export interface Vacuumed {
  /** Of the transfer that lost most. */
  readonly removed: number
  /** How many transfers lost something because they are off. */
  readonly disabledTransfers: number
}

/** Deletes what is too much, of all transfers; with a version to acquire, so that there is room for it where it is not yet. */
export async function vacuum(run: Run, enabled: readonly FoundTransfer[], acquiring?: string): Promise<Vacuumed> {
  const space = acquiring === undefined ? 0 : 1
  run.tell({ kind: 'info', text: space === 0 ? 'Making room…' : `Making room for ${space} updates…` })
  const isCorrect = run.behaviour === 'correct'
  const running = run.running === undefined ? [] : [run.running]
  const protectVersions = isCorrect ? [...enabled.flatMap((one) => one.protectVersions), ...running] : undefined
  const failedVersions = isCorrect ? failedOf(enabled, run.running) : []
  rememberFailed(run, failedVersions)
  const plans = enabled
    .filter((transfer) => acquiring === undefined || !isHeld(transfer, acquiring, run))
    .map((transfer) => ({
      transfer,
      removals: planOf(run, transfer, { protectVersions, failedVersions, acquiring, space }),
    }))
  const disabled = run.opened.discoverDisabled().map((transfer) => ({
    transfer,
    removals: planOf(run, transfer, { failedVersions, acquiring: undefined, space }),
  }))
  const all = [...plans, ...disabled]
  // What boots a version comes last when it is installed, and goes first: no boot entry is without what it boots.
  for (const { transfer, removals } of isCorrect ? all.toReversed() : all) await remove(run, transfer, removals)
  return {
    removed: Math.max(0, ...plans.map(({ removals }) => removals.length)),
    disabledTransfers: disabled.filter(({ removals }) => removals.length > 0).length,
  }
}

function failedOf(transfers: readonly FoundTransfer[], running: string | undefined): string[] {
  const instances = transfers.flatMap(({ installed }) => installed)
  return instances.flatMap((one) => (isFailedVersion(one.fields.version, [one], running) ? [one.fields.version] : []))
}

/** What is only half there has to come again. */
function isHeld({ installed }: FoundTransfer, version: string, { behaviour }: Run): boolean {
  const instance = instanceOf(installed, version)
  return instance !== undefined && (behaviour === 'original' || instance.state !== 'partial')
}

function planOf(
  { instancesMax, behaviour }: Run,
  transfer: FoundTransfer,
  request: {
    /** In place of its own. */
    readonly protectVersions?: readonly string[] | undefined
    readonly failedVersions: readonly string[]
    readonly acquiring: string | undefined
    readonly space: number
  },
): Removal[] {
  return planVacuum(
    {
      ...transfer,
      ...request,
      protectVersions: request.protectVersions ?? transfer.protectVersions,
      instancesMax: instancesMax ?? transfer.instancesMax,
    },
    behaviour,
  )
}

async function remove({ tell, isSynced }: Run, transfer: FoundTransfer, removals: readonly Removal[]): Promise<void> {
  const { place, removesTemporary } = transfer
  if (place.kind === 'files' && removesTemporary) removeTemporary(place.path)
  if (place.kind === 'fat' && removesTemporary) await removeTemporaryFromFat(place)
  for (const { instance, reason } of removals) {
    const { path, type } = instance
    tell({ kind: 'removing', reason: reason === 'old' || reason === 'disabled' ? reason : `old ${reason}`, path, type })
    await removeInstance(transfer, instance, { isSynced })
  }
}
