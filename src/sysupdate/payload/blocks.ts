import { addressOfBytes } from '../../system/index.ts'

export const BLOCK_BYTES = 512 * 1024
/** What a disk wants of a place in memory that it reads by itself: a page. */
const ALIGNMENT = 4096

/** Memory that a disk can read without a copy in between (O_DIRECT, open(2)). */
export function alignedBuffer(bytes: number): Buffer {
  const room = Buffer.allocUnsafeSlow(bytes + ALIGNMENT)
  const start = (ALIGNMENT - Number(addressOfBytes(room) % BigInt(ALIGNMENT))) % ALIGNMENT
  return room.subarray(start, start + bytes)
}

/** Whether bytes lie so, and can go where they are to. */
export function isAligned(bytes: Buffer, position: number): boolean {
  if (bytes.byteLength % ALIGNMENT !== 0 || position % ALIGNMENT !== 0) return false
  return addressOfBytes(bytes) % BigInt(ALIGNMENT) === 0n
}

/**
 * The same bytes in blocks, of equal size but for the last one: what is written is large and lies on whole pages. A block is
 * good until the next but one is asked for, and so has to be what comes in.
 */
export async function* blocksOf(
  input: AsyncIterable<Buffer>,
  blockBytes: number = BLOCK_BYTES,
): AsyncGenerator<Buffer, void, void> {
  const blocks: [Buffer | undefined, Buffer | undefined] = [undefined, undefined]
  let [turn, filled] = [0, 0]
  for await (const chunk of input) {
    for (let at = 0; at < chunk.byteLength; ) {
      if (filled === 0 && chunk.byteLength - at >= blockBytes) {
        // Nothing to gather.
        yield chunk.subarray(at, at + blockBytes)
        at += blockBytes
        continue
      }
      const block = blocks[turn] ?? alignedBuffer(blockBytes)
      blocks[turn] = block
      const length = Math.min(blockBytes - filled, chunk.byteLength - at)
      chunk.copy(block, filled, at, at + length)
      filled += length
      at += length
      if (filled < blockBytes) continue
      yield block
      turn = 1 - turn
      filled = 0
    }
  }
  if (filled > 0) yield blocks[turn]?.subarray(0, filled) as Buffer
}
