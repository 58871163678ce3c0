const BLOCK_BYTES = 1024 * 1024

/**
 * The same bytes in blocks of 1 MiB, but for the last one: what is written is large and lies on whole pages. A block is
 * good until the next one is asked for.
 */
export async function* blocksOf(
  input: AsyncIterable<Buffer>,
  blockBytes: number = BLOCK_BYTES,
): AsyncGenerator<Buffer, void, void> {
  const block = Buffer.allocUnsafe(blockBytes)
  let filled = 0
  for await (const chunk of input) {
    for (let at = 0; at < chunk.byteLength; ) {
      if (filled === 0 && chunk.byteLength - at >= blockBytes) {
        // Nothing to gather.
        yield chunk.subarray(at, at + blockBytes)
        at += blockBytes
        continue
      }
      const length = Math.min(blockBytes - filled, chunk.byteLength - at)
      chunk.copy(block, filled, at, at + length)
      filled += length
      at += length
      if (filled < blockBytes) continue
      yield block
      filled = 0
    }
  }
  if (filled > 0) yield block.subarray(0, filled)
}
