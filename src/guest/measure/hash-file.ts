import { createHash } from 'node:crypto'
import { readSync } from 'node:fs'

/** Small enough that a chunk is still in the processor's cache when the second bank hashes it. */
const CHUNK_BYTES = 256 * 1024

export interface HashedFile {
  /** How much was read: what the digests are of. */
  readonly bytes: number
  readonly digests: ReadonlyMap<string, Uint8Array>
}

/**
 * Reads an open file to its end, once, and hashes it in each bank.
 *
 * @param isSeekable whether to read from the beginning wherever the descriptor stands, as several threads must that
 *   share it; what is no file, a pipe for example, is read on from where it stands
 */
export function hashFile(descriptor: number, banks: readonly string[], isSeekable: boolean): HashedFile {
  const chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES)
  const hashes = banks.map((bank) => createHash(bank))
  let bytes = 0
  for (;;) {
    const read = readSync(descriptor, chunk, 0, CHUNK_BYTES, isSeekable ? bytes : null)
    if (read === 0) break
    bytes += read
    for (const hash of hashes) hash.update(read === CHUNK_BYTES ? chunk : chunk.subarray(0, read))
  }
  return { bytes, digests: new Map(banks.map((bank, index) => [bank, hashes[index]?.digest() ?? Buffer.alloc(0)])) }
}
