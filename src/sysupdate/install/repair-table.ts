import { fsyncSync, writeSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { repairGpt } from '../../formats/index.ts'
import { BootwrightError, diskFile, openDisk } from '../../system/index.ts'
import { lockTable } from './target-lock.ts'

/**
 * Makes the copy of a disk's partition table whole again that a power cut has left half-written, from the other one, which counts
 * until then. Gives whether there was something to do; nothing is done to a disk without a table.
 */
export async function repairTable(path: string): Promise<boolean> {
  // A disk that was open for writing is looked at anew by udev.
  if (!isDamaged(path)) return false
  await using file = await open(path, 'r+')
  await lockTable(file.fd, path)
  const pieces = orNone(() => repairGpt(diskFile(file.fd)))
  for (const { offset, bytes } of pieces) {
    for (let at = 0; at < bytes.byteLength; ) {
      at += writeSync(file.fd, bytes, at, bytes.byteLength - at, offset + at)
    }
    fsyncSync(file.fd)
  }
  return pieces.length > 0
}

function isDamaged(path: string): boolean {
  using disk = openDisk(path)
  return orNone(() => repairGpt(disk)).length > 0
}

function orNone(repair: () => ReturnType<typeof repairGpt>): ReturnType<typeof repairGpt> {
  try {
    return repair()
  } catch (error) {
    // Whoever needs the table says so.
    if (error instanceof BootwrightError && error.code === 'MALFORMED_INPUT') return []
    throw error
  }
}
