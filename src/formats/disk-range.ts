import type { DiskReader } from './gpt.ts'
import { malformed } from './malformed.ts'

/** A part of a disk, such as a partition, as a disk of its own. `MALFORMED_INPUT` if the disk ends before it does. */
export function diskRange(disk: DiskReader, offset: number, size: number): DiskReader {
  if (!Number.isSafeInteger(offset) || offset < 0 || size < 0 || offset + size > disk.size) {
    throw malformed(
      { what: 'disk', field: 'range', offset },
      `its ${size} bytes end beyond the disk of ${disk.size} bytes`,
    )
  }
  return { size, read: (position, length) => disk.read(offset + position, length) }
}

/** Bytes of a disk, checked: a range outside of it, or a reader that gives less, is `MALFORMED_INPUT`. */
export function readDisk(disk: DiskReader, offset: number, length: number, what: string, field: string): Uint8Array {
  if (!Number.isSafeInteger(offset) || offset < 0 || length < 0 || offset + length > disk.size) {
    throw malformed({ what, field, offset }, `its ${length} bytes end beyond the ${disk.size} bytes there are`)
  }
  const bytes = disk.read(offset, length)
  if (bytes.byteLength !== length) {
    throw malformed({ what, field, offset }, `expected ${length} bytes, could read ${bytes.byteLength}`)
  }
  return bytes
}
