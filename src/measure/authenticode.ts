import { createHash } from 'node:crypto'
import { type FileRange, malformed, type PeFile } from '../formats/index.ts'
import type { Digests, HashAlgorithm } from './hash-algorithms.ts'

/**
 * The Authenticode digest of a PE file as the firmware computes it for PCR 4 and 2 (edk2, MeasureBootPeCoff.c): all but
 * the CheckSum field, the data directory entry of the certificate table and that table. Nothing is padded, so a file that
 * is signed by appending keeps its digest.
 *
 * `file` are the bytes that `pe` was parsed from; each bank takes one pass over them, without copies.
 */
export function authenticodeDigests(pe: PeFile, file: Uint8Array, banks: readonly HashAlgorithm[]): Digests {
  const ranges = authenticodeRanges(pe, file.byteLength)
  return new Map(
    banks.map((bank) => {
      const hash = createHash(bank)
      for (const { offset, size } of ranges) hash.update(file.subarray(offset, offset + size))
      return [bank, hash.digest()]
    }),
  )
}

/** The ranges of the file that are hashed, in order. */
export function authenticodeRanges(pe: PeFile, fileSize: number): FileRange[] {
  const ranges: FileRange[] = [{ offset: 0, size: pe.checkSumOffset }]
  const afterCheckSum = pe.checkSumOffset + 4
  if (pe.certificateEntryOffset === undefined) {
    ranges.push({ offset: afterCheckSum, size: pe.sizeOfHeaders - afterCheckSum })
  } else {
    const afterEntry = pe.certificateEntryOffset + 8
    ranges.push({ offset: afterCheckSum, size: pe.certificateEntryOffset - afterCheckSum })
    ranges.push({ offset: afterEntry, size: pe.sizeOfHeaders - afterEntry })
  }
  const stored = pe.sections.filter(({ rawSize }) => rawSize > 0).sort((a, b) => a.rawOffset - b.rawOffset)
  let hashed = pe.sizeOfHeaders
  for (const { rawOffset, rawSize } of stored) {
    ranges.push({ offset: rawOffset, size: rawSize })
    hashed += rawSize
  }
  // The firmware counts what it has hashed instead of looking where the last section ends.
  const trailing = fileSize - (pe.certificateTable?.size ?? 0) - hashed
  if (trailing > 0) ranges.push({ offset: hashed, size: trailing })
  for (const { offset, size } of ranges) {
    if (size >= 0 && offset + size <= fileSize) continue
    throw malformed(
      { what: 'PE file', field: 'Authenticode range', offset },
      `its ${size} bytes do not lie in the file of ${fileSize} bytes`,
    )
  }
  return ranges
}
