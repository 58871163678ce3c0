import { NewcWriter } from '../../../formats/index.ts'
import type { PredictedEvent } from '../event.ts'
import type { BootEntry } from './boot-entries.ts'
import { bytesMeasured, iplEvent, PCR } from './events.ts'
import { TARGETS } from './sidecars.ts'

/** Kinds of `extra` lines, in the order of their archives. */
const KINDS = [
  { suffix: '.cred', target: TARGETS.credentials, pcr: PCR.kernelConfig, what: 'Entry credentials initrd' },
  { suffix: '.sysext.raw', target: TARGETS.sysext, pcr: PCR.sysexts, what: 'Entry system extension initrd' },
  {
    suffix: '.confext.raw',
    target: TARGETS.confext,
    pcr: PCR.kernelConfig,
    what: 'Entry configuration extension initrd',
  },
] as const

/** The archives that systemd-boot packs of the `extra` lines of a Type #1 entry. They share one count of inodes. */
export function entryExtras(entry: BootEntry): {
  readonly events: readonly PredictedEvent[]
  readonly archives: readonly Uint8Array[]
} {
  const events: PredictedEvent[] = []
  const archives: Uint8Array[] = []
  let inode = 1
  for (const { suffix, target, pcr, what } of KINDS) {
    const paths = entry.extras.filter((path) => path.toLowerCase().endsWith(suffix))
    const writer = new NewcWriter(inode)
    let isEmpty = true
    for (const path of paths) {
      const content = entry.volume.read(path)
      if (content === undefined) continue
      writer.directories(target)
      writer.file(target, path.slice(path.lastIndexOf('\\') + 1), content)
      isEmpty = false
    }
    if (isEmpty) continue
    inode = writer.nextInode
    const bytes = writer.finish()
    archives.push(bytes)
    events.push(iplEvent({ pcr, by: 'boot-loader', what, measured: bytesMeasured(bytes) }, what))
  }
  return { events, archives }
}
