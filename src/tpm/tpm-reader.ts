import { BootwrightError } from '../system/index.ts'

/** A cursor over what a TPM answered: big-endian, and every read is bounded (TPM 2.0 Part 1, 31 "Data structures"). */
export class TpmReader {
  readonly #bytes: Buffer
  readonly #what: string
  #position = 0

  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#what = what
  }

  u8(field: string): number {
    return this.bytes(1, field).readUInt8()
  }

  u16(field: string): number {
    return this.bytes(2, field).readUInt16BE()
  }

  u32(field: string): number {
    return this.bytes(4, field).readUInt32BE()
  }

  u64(field: string): bigint {
    return this.bytes(8, field).readBigUInt64BE()
  }

  /** A TPM2B: its size, then so many bytes. */
  sized(field: string): Buffer {
    return this.bytes(this.u16(`size of ${field}`), field)
  }

  /** A view of the next bytes. */
  bytes(length: number, field: string): Buffer {
    const end = this.#position + length
    if (end > this.#bytes.length) {
      const left = this.#bytes.length - this.#position
      throw this.malformed(field, `${length} bytes expected, ${left} left`)
    }
    const bytes = this.#bytes.subarray(this.#position, end)
    this.#position = end
    return bytes
  }

  /** Rejects another value than the one that has to be there. */
  expect(found: number, expected: number, field: string): void {
    if (found === expected) return
    throw this.malformed(field, `0x${expected.toString(16)} expected, found 0x${found.toString(16)}`)
  }

  /** Rejects what is left behind a field that has to be the last. */
  end(field: string): void {
    const left = this.#bytes.length - this.#position
    if (left > 0) throw this.malformed(field, `${left} bytes follow the last field`)
  }

  malformed(field: string, problem: string): BootwrightError {
    return new BootwrightError(
      'MALFORMED_INPUT',
      `Cannot read ${this.#what} of a TPM: ${field} at offset ${this.#position}: ${problem}`,
      { detail: { what: this.#what, field, offset: this.#position } },
    )
  }
}
