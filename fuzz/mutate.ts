/** Values at which lengths, counts and offsets go wrong. */
const EDGES = [0, 1, 2, 3, 4, 7, 8, 16, 31, 32, 63, 64, 127, 128, 255, 256, 511, 512, 4095, 4096, 65535, 65536] as const
const WIDE_EDGES = [0x7fffffff, 0x80000000, 0xffffffff, 0xfffffffe, 0x7ffffffe, 0x00ffffff] as const
const MOST_CHANGES = 6

/**
 * One input made of another: some bytes flipped, fields set to values at the edge of their range, parts cut, doubled,
 * moved, or taken from a second input. Seldom more than a few changes, so that most of a structure stays whole.
 *
 * @param random numbers from 0 to below 1
 */
export function mutate(
  input: Uint8Array,
  other: Uint8Array,
  random: () => number,
  maxBytes: number,
  words: readonly Uint8Array[],
): Uint8Array {
  const below = (limit: number): number => Math.floor(random() * limit)
  let bytes = Buffer.from(input)
  const changes = 1 + Math.floor(random() ** 2 * MOST_CHANGES)
  for (let change = 0; change < changes; change++) {
    const at = below(bytes.length + 1)
    switch (below(11)) {
      case 0:
        if (at < bytes.length) bytes[at] = (bytes[at] ?? 0) ^ (1 << below(8))
        break
      case 1:
        if (at < bytes.length) bytes[at] = below(256)
        break
      case 2:
        put(bytes, at, 2, edge(below, bytes.length), random() < 0.5)
        break
      case 3:
        put(bytes, at, 4, edge(below, bytes.length), random() < 0.5)
        break
      case 4:
        put(bytes, at, 8, edge(below, bytes.length), random() < 0.5)
        break
      case 5: {
        // A neighbour of what is there: lengths that are off by little.
        if (at < bytes.length) bytes[at] = (bytes[at] ?? 0) + below(9) - 4
        break
      }
      case 6:
        bytes = bytes.subarray(0, at)
        break
      case 7: {
        const end = Math.min(bytes.length, at + 1 + below(64))
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(end)])
        break
      }
      case 8: {
        const end = Math.min(bytes.length, at + 1 + below(256))
        const target = below(bytes.length + 1)
        bytes = Buffer.concat([bytes.subarray(0, target), bytes.subarray(at, end), bytes.subarray(target)])
        break
      }
      case 9: {
        const from = below(other.length)
        const part = other.subarray(from, from + 1 + below(256))
        const end = random() < 0.5 ? at : Math.min(bytes.length, at + part.length)
        bytes = Buffer.concat([bytes.subarray(0, at), part, bytes.subarray(end)])
        break
      }
      default: {
        const word = words[below(words.length)]
        if (word !== undefined && at + word.length <= bytes.length) bytes.set(word, at)
      }
    }
  }
  return bytes.length > maxBytes ? bytes.subarray(0, maxBytes) : bytes
}

function edge(below: (limit: number) => number, length: number): number {
  const choice = below(4)
  if (choice === 0) return WIDE_EDGES[below(WIDE_EDGES.length)] ?? 0
  if (choice === 1) return Math.max(0, length + below(17) - 8)
  return EDGES[below(EDGES.length)] ?? 0
}

function put(bytes: Buffer, at: number, width: 2 | 4 | 8, value: number, isLittle: boolean): void {
  if (at + width > bytes.length) return
  const number = width === 8 ? BigInt(value) : BigInt.asUintN(width * 8, BigInt(value))
  for (let index = 0; index < width; index++) {
    const shift = BigInt(8 * (isLittle ? index : width - 1 - index))
    bytes[at + index] = Number((number >> shift) & 0xffn)
  }
}
