import type { BootwrightError } from '../system/index.ts'
import { formatGuid } from './guid.ts'
import { malformed } from './malformed.ts'

/**
 * A cursor over bytes that did not come from us. Integers are little-endian, every read is bounded, and every error is a
 * `MALFORMED_INPUT` that carries the field and its offset in the whole input.
 */
export class ByteReader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  readonly #what: string
  readonly #base: number
  #position = 0

  /** @param base offset of the first byte in the whole input, for a reader over a part of it */
  constructor(bytes: Uint8Array, what: string, base = 0) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#what = what
    this.#base = base
  }

  /** Offset of the next byte in the whole input. */
  get offset(): number {
    return this.#base + this.#position
  }

  get remaining(): number {
    return this.#bytes.byteLength - this.#position
  }

  u8(field: string): number {
    return this.#view.getUint8(this.#take(1, field))
  }

  u16(field: string): number {
    return this.#view.getUint16(this.#take(2, field), true)
  }

  u32(field: string): number {
    return this.#view.getUint32(this.#take(4, field), true)
  }

  u64(field: string): bigint {
    return this.#view.getBigUint64(this.#take(8, field), true)
  }

  /** A u64 that is used as a length or position: rejected above 2^53 − 1, which no real input reaches. */
  safeU64(field: string): number {
    const value = this.u64(field)
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw this.malformed(field, `${value} is too large`, 8)
    return Number(value)
  }

  /** A GUID as lower-case text; its first three fields are little-endian. */
  guid(field: string): string {
    return formatGuid(this.bytes(16, field))
  }

  /** A view of the next bytes, not a copy. */
  bytes(length: number, field: string): Uint8Array {
    const start = this.#take(length, field)
    return this.#bytes.subarray(start, start + length)
  }

  /** The bytes that are left, without moving on. */
  rest(): Uint8Array {
    return this.#bytes.subarray(this.#position)
  }

  /** A reader over the next bytes whose errors keep offsets of the whole input. */
  part(length: number, field: string, what = this.#what): ByteReader {
    const base = this.offset
    return new ByteReader(this.bytes(length, field), what, base)
  }

  /** Moves to an offset in the whole input. */
  seek(offset: number, field: string): void {
    const position = offset - this.#base
    if (!Number.isSafeInteger(position) || position < 0 || position > this.#bytes.byteLength) {
      const end = this.#base + this.#bytes.byteLength
      throw malformed(
        { what: this.#what, field, offset: this.offset },
        `points to offset ${offset}, outside ${this.#base}-${end}`,
      )
    }
    this.#position = position
  }

  /** The error for a value just read that cannot be; `width` is its size in bytes, to name where it began. */
  malformed(field: string, problem: string, width = 0): BootwrightError {
    return malformed({ what: this.#what, field, offset: this.offset - width }, problem)
  }

  #take(length: number, field: string): number {
    if (!Number.isSafeInteger(length) || length < 0 || length > this.remaining) {
      throw this.malformed(field, `needs ${length} bytes, but ${this.remaining} are left`)
    }
    const start = this.#position
    this.#position += length
    return start
  }
}
