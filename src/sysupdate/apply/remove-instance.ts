import { slotTypes } from '../destination.ts'
import { freePartition, removeBelow, removeFromFat } from '../install/index.ts'
import type { PlacedTransfer } from '../open-updates.ts'
import type { Instance } from '../types.ts'

/** Deletes an instance of a target: a file, a directory, or what a slot holds. */
export async function removeInstance(
  { place, target }: PlacedTransfer,
  { path, partitionNumber }: Instance,
  options: { readonly isSynced: boolean },
): Promise<void> {
  if (place.kind === 'files') removeBelow(place.path, path.slice(place.path.length + 1), options)
  else if (place.kind === 'fat') await removeFromFat(place, path.slice(place.path.length + 1))
  else if (partitionNumber !== undefined) await freePartition(place.disk, partitionNumber, slotTypes(target))
}
