import { ByteReader } from './byte-reader.ts'
import { malformed } from './malformed.ts'

const WHAT = 'LZMA stream'
/** Properties, dictionary size, uncompressed size. */
const HEADER_SIZE = 13
/** No firmware volume is larger. */
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024

const PROBABILITY_BITS = 11
const INITIAL_PROBABILITY = 1 << (PROBABILITY_BITS - 1)
const ADAPTATION_SHIFT = 5
const MINIMUM_RANGE = 2 ** 24

const STATES = 12
const STATES_AFTER_LITERAL = 7
const POSITION_STATES = 16
const MINIMUM_MATCH = 2
const LENGTH_STATES = 4
const FIRST_MODELLED_SLOT = 4
const FIRST_DIRECT_SLOT = 14
const ALIGN_BITS = 4
const LITERAL_PROBABILITIES = 0x300

/**
 * Decompresses a stream of the format that LZMA SDK calls "alone" and EDK2 stores in its GUID-defined sections: 5 bytes of
 * properties, the uncompressed size (64 bits), then range-coded data.
 *
 * The size has to be given and may be at most 64 MiB. Data that is cut or refers to what is not there is
 * `MALFORMED_INPUT`; the format has no checksum, so other damage gives other bytes.
 */
export function decompressLzma(bytes: Uint8Array): Uint8Array {
  const header = new ByteReader(bytes, WHAT)
  let properties = header.u8('properties')
  if (properties >= 9 * 5 * 5) throw header.malformed('properties', `is ${properties}, expected less than 225`, 1)
  const literalContextBits = properties % 9
  properties = Math.floor(properties / 9)
  const literalPositionBits = properties % 5
  const positionBits = Math.floor(properties / 5)
  const dictionarySize = Math.max(header.u32('dictionary size'), 4096)
  const size = header.u64('uncompressed size')
  if (size > BigInt(MAX_OUTPUT_BYTES)) {
    throw header.malformed('uncompressed size', `is ${size}, expected at most ${MAX_OUTPUT_BYTES}`, 8)
  }
  const output = new Uint8Array(Number(size))
  const coder = new RangeDecoder(bytes)

  const literals = probabilities(LITERAL_PROBABILITIES << (literalContextBits + literalPositionBits))
  const isMatch = probabilities(STATES * POSITION_STATES)
  const isRepeat = probabilities(STATES)
  const isRepeat0 = probabilities(STATES)
  const isRepeat1 = probabilities(STATES)
  const isRepeat2 = probabilities(STATES)
  const isLongRepeat0 = probabilities(STATES * POSITION_STATES)
  const matchLength = new LengthDecoder()
  const repeatLength = new LengthDecoder()
  const slots = Array.from({ length: LENGTH_STATES }, () => probabilities(64))
  const distanceBits = probabilities(128)
  const alignBits = probabilities(1 << ALIGN_BITS)

  const positionMask = (1 << positionBits) - 1
  const literalPositionMask = (1 << literalPositionBits) - 1
  let state = 0
  /** The last four distances, less one. */
  let [repeat0, repeat1, repeat2, repeat3] = [0, 0, 0, 0]
  let position = 0

  while (position < output.byteLength) {
    const positionState = position & positionMask
    if (coder.bit(isMatch, state * POSITION_STATES + positionState) === 0) {
      const previous = position === 0 ? 0 : (output[position - 1] ?? 0)
      const context = ((position & literalPositionMask) << literalContextBits) | (previous >> (8 - literalContextBits))
      const offset = context * LITERAL_PROBABILITIES
      if (state < STATES_AFTER_LITERAL) {
        output[position++] = coder.tree(literals, offset, 8)
      } else {
        output[position] = coder.matchedLiteral(literals, offset, output[position - repeat0 - 1] ?? 0)
        position++
      }
      state = state < 4 ? 0 : state < 10 ? state - 3 : state - 6
      continue
    }

    let length: number
    if (coder.bit(isRepeat, state) === 1) {
      if (position === 0) throw coder.malformed('repeats a match before there is one')
      if (coder.bit(isRepeat0, state) === 0) {
        if (coder.bit(isLongRepeat0, state * POSITION_STATES + positionState) === 0) {
          state = state < STATES_AFTER_LITERAL ? 9 : 11
          checkDistance(repeat0)
          output[position] = output[position - repeat0 - 1] ?? 0
          position++
          continue
        }
      } else {
        let distance = repeat1
        if (coder.bit(isRepeat1, state) === 1) {
          distance = repeat2
          if (coder.bit(isRepeat2, state) === 1) {
            distance = repeat3
            repeat3 = repeat2
          }
          repeat2 = repeat1
        }
        repeat1 = repeat0
        repeat0 = distance
      }
      length = repeatLength.decode(coder, positionState)
      state = state < STATES_AFTER_LITERAL ? 8 : 11
    } else {
      repeat3 = repeat2
      repeat2 = repeat1
      repeat1 = repeat0
      length = matchLength.decode(coder, positionState)
      state = state < STATES_AFTER_LITERAL ? 7 : 10
      repeat0 = decodeDistance(Math.min(length, LENGTH_STATES - 1))
    }
    length += MINIMUM_MATCH
    checkDistance(repeat0)
    if (length > output.byteLength - position) {
      throw coder.malformed(`copies ${length} bytes, but the stream ends after ${output.byteLength - position}`)
    }
    const start = position - repeat0 - 1
    // What is copied may overlap what it becomes: copyWithin() would take the old bytes.
    for (let index = 0; index < length; index++) output[position + index] = output[start + index] ?? 0
    position += length
  }
  return output

  function decodeDistance(lengthState: number): number {
    const slot = coder.tree(slots[lengthState] ?? alignBits, 0, 6)
    if (slot < FIRST_MODELLED_SLOT) return slot
    const bits = (slot >> 1) - 1
    const high = (2 | (slot & 1)) * 2 ** bits
    if (slot < FIRST_DIRECT_SLOT) return high + coder.reverseTree(distanceBits, high - slot, bits)
    return high + coder.direct(bits - ALIGN_BITS) * (1 << ALIGN_BITS) + coder.reverseTree(alignBits, 0, ALIGN_BITS)
  }

  function checkDistance(distance: number): void {
    if (distance < position && distance < dictionarySize) return
    throw coder.malformed(`refers to ${distance + 1} bytes ago, after ${position} bytes`)
  }
}

/** Bits out of an arithmetic coder that adapts the probability of each as it goes. */
class RangeDecoder {
  readonly #bytes: Uint8Array
  #next = HEADER_SIZE + 5
  #range = 0xffffffff
  #code: number

  constructor(bytes: Uint8Array) {
    const reader = new ByteReader(bytes, WHAT)
    reader.seek(HEADER_SIZE, 'data')
    if (reader.u8('first byte') !== 0) throw reader.malformed('first byte', 'is not zero', 1)
    this.#code = Buffer.from(reader.bytes(4, 'code')).readUInt32BE()
    this.#bytes = bytes
  }

  malformed(problem: string): Error {
    return malformed({ what: WHAT, field: 'data', offset: this.#next }, problem)
  }

  bit(table: Uint16Array, index: number): 0 | 1 {
    const probability = table[index] ?? 0
    const bound = (this.#range >>> PROBABILITY_BITS) * probability
    if (this.#code < bound) {
      this.#range = bound
      table[index] = probability + (((1 << PROBABILITY_BITS) - probability) >> ADAPTATION_SHIFT)
      if (this.#range < MINIMUM_RANGE) this.#refill()
      return 0
    }
    this.#code -= bound
    this.#range -= bound
    table[index] = probability - (probability >> ADAPTATION_SHIFT)
    if (this.#range < MINIMUM_RANGE) this.#refill()
    return 1
  }

  /** A number of `width` bits, the highest first, each with the ones before it as its context. */
  tree(table: Uint16Array, offset: number, width: number): number {
    let node = 1
    for (let left = width; left > 0; left--) node = (node << 1) | this.bit(table, offset + node)
    return node - (1 << width)
  }

  /** The same, the lowest bit first. */
  reverseTree(table: Uint16Array, offset: number, width: number): number {
    let node = 1
    let value = 0
    for (let index = 0; index < width; index++) {
      const bit = this.bit(table, offset + node)
      node = (node << 1) | bit
      value |= bit << index
    }
    return value
  }

  /** A literal behind a match: as long as it agrees with the byte that the match would have gone on with, that is context. */
  matchedLiteral(table: Uint16Array, offset: number, expected: number): number {
    let node = 1
    let rest = expected
    while (node < 0x100) {
      rest <<= 1
      const expectedBit = rest & 0x100
      const bit = this.bit(table, offset + 0x100 + expectedBit + node)
      node = (node << 1) | bit
      if ((expectedBit !== 0) !== (bit === 1)) break
    }
    while (node < 0x100) node = (node << 1) | this.bit(table, offset + node)
    return node & 0xff
  }

  /** A number of `width` bits, at most 26, that are as likely to be 0 as 1. */
  direct(width: number): number {
    let value = 0
    for (let left = width; left > 0; left--) {
      this.#range >>>= 1
      const bit = this.#code >= this.#range ? 1 : 0
      if (bit === 1) this.#code -= this.#range
      if (this.#range < MINIMUM_RANGE) this.#refill()
      value = value * 2 + bit
    }
    return value
  }

  #refill(): void {
    const byte = this.#bytes[this.#next]
    if (byte === undefined) throw this.malformed('is cut here')
    this.#next++
    this.#range = (this.#range << 8) >>> 0
    this.#code = ((this.#code << 8) | byte) >>> 0
  }
}

/** Length of a match, less the shortest one: 8 short ones, 8 middle ones, 256 long ones. */
class LengthDecoder {
  readonly #choice = probabilities(2)
  readonly #low = probabilities(POSITION_STATES << 3)
  readonly #middle = probabilities(POSITION_STATES << 3)
  readonly #high = probabilities(256)

  decode(coder: RangeDecoder, positionState: number): number {
    if (coder.bit(this.#choice, 0) === 0) return coder.tree(this.#low, positionState << 3, 3)
    if (coder.bit(this.#choice, 1) === 0) return 8 + coder.tree(this.#middle, positionState << 3, 3)
    return 16 + coder.tree(this.#high, 0, 8)
  }
}

function probabilities(count: number): Uint16Array {
  return new Uint16Array(count).fill(INITIAL_PROBABILITY)
}
