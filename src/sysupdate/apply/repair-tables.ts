import { repairTable } from '../install/index.ts'
import type { Run } from './run.ts'

/** Ends what a power cut has left of a change of a partition table: a disk whose table has one copy only is one fault from none. */
export async function repairTables(run: Run): Promise<void> {
  if (run.behaviour === 'original') return
  const disks = run.opened.transfers.flatMap(({ place }) => (place.kind === 'partitions' ? [place.disk] : []))
  for (const disk of new Set(disks)) {
    if (!(await repairTable(disk))) continue
    run.tell({ kind: 'notice', text: `The partition table of ${disk} was damaged in one copy, which is whole again.` })
  }
}
