import { parsePe } from '../../../formats/index.ts'
import { type Digests, digestsOf, HASH_ALGORITHMS } from '../../hash-algorithms.ts'

/** The digests of an image without padding and without anything between its parts, as those of the fixtures are. */
export function authenticodeDigests(file: Uint8Array): Digests {
  const pe = parsePe(file)
  const entry = pe.certificateEntryOffset ?? pe.sizeOfHeaders
  return digestsOf(
    HASH_ALGORITHMS,
    file.subarray(0, pe.checkSumOffset),
    file.subarray(pe.checkSumOffset + 4, entry),
    file.subarray(entry + 8, file.byteLength - (pe.certificateTable?.size ?? 0)),
  )
}
