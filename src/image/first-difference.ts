import { type FileHandle, open } from 'node:fs/promises'

const CHUNK_BYTES = 4 * 1024 * 1024

/** The offset of the first byte in which two files differ; the end of the shorter one counts; undefined when equal. */
export async function firstDifference(one: string, other: string, signal?: AbortSignal): Promise<number | undefined> {
  await using first = await open(one)
  await using second = await open(other)
  for (let offset = 0; ; offset += CHUNK_BYTES) {
    signal?.throwIfAborted()
    const [a, b] = await Promise.all([readChunk(first, offset), readChunk(second, offset)])
    const within = differingByte(a, b)
    if (within !== undefined) return offset + within
    if (a.byteLength < CHUNK_BYTES) return undefined
  }
}

/** The same for bytes in memory. */
export function differingByte(a: Buffer, b: Buffer): number | undefined {
  if (a.equals(b)) return undefined
  const common = Math.min(a.byteLength, b.byteLength)
  let low = 0
  let high = common
  // Halving with memcmp instead of looking at four million bytes one by one.
  while (low < high) {
    const middle = low + Math.ceil((high - low) / 2)
    if (a.compare(b, low, middle, low, middle) === 0) low = middle
    else if (middle - low === 1) return low
    else high = middle
  }
  return low
}

async function readChunk(file: FileHandle, offset: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(CHUNK_BYTES)
  let filled = 0
  while (filled < CHUNK_BYTES) {
    const { bytesRead } = await file.read(bytes, filled, CHUNK_BYTES - filled, offset + filled)
    if (bytesRead === 0) break
    filled += bytesRead
  }
  return bytes.subarray(0, filled)
}
