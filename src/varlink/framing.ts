import { malformed } from '../formats/index.ts'

/** As systemd has it: no message is longer, without the NUL that ends it. */
export const MAX_MESSAGE_BYTES = 16 * 1024 * 1024

const SMALLEST_BUFFER = 4096

/** Cuts a stream into messages: each ends with a NUL (varlink.org, "Protocol"). */
export class FrameReader {
  readonly #maxBytes: number
  #buffer: Uint8Array = new Uint8Array(0)
  /** What was pushed is its giver's: it is read, but not written to. */
  #isOwn = false
  /** What is in the buffer and not taken yet lies between these two. */
  #begin = 0
  #end = 0
  /** No NUL lies in front of it. */
  #scanned = 0
  /** Of `#begin` in the stream. */
  #offset = 0

  constructor(maxBytes: number = MAX_MESSAGE_BYTES) {
    this.#maxBytes = maxBytes
  }

  /** What has been pushed and not been taken. */
  get pendingBytes(): number {
    return this.#end - this.#begin
  }

  push(chunk: Uint8Array): void {
    const pending = this.#buffer.subarray(this.#begin, this.#end)
    this.#scanned -= this.#begin
    this.#begin = 0
    this.#end = pending.length + chunk.length
    if (pending.length === 0) {
      this.#buffer = chunk
      this.#isOwn = false
      this.#scanned = 0
      return
    }
    // Twice as much as is there, so that a message in many pieces is not copied for each of them.
    if (!this.#isOwn || this.#end > this.#buffer.length) {
      this.#buffer = new Uint8Array(Math.max(SMALLEST_BUFFER, this.#end * 2))
      this.#isOwn = true
    }
    this.#buffer.set(pending)
    this.#buffer.set(chunk, pending.length)
  }

  /**
   * The next whole message, which is there until the next push; undefined when it has not come yet. Rejects with
   * `MALFORMED_INPUT` one that is too long, before all of it has come.
   */
  next(): Uint8Array | undefined {
    const nul = this.#buffer.subarray(0, this.#end).indexOf(0, this.#scanned)
    const bytes = (nul < 0 ? this.#end : nul) - this.#begin
    if (bytes > this.#maxBytes) {
      const place = { what: 'varlink stream', field: 'message', offset: this.#offset }
      throw malformed(place, `expected a NUL within ${this.#maxBytes} bytes`)
    }
    this.#scanned = nul < 0 ? this.#end : nul + 1
    return nul < 0 ? undefined : this.#take(nul, nul + 1)
  }

  /** What has come behind the last message that was taken: bytes of another protocol, after an upgrade. */
  takeRest(): Uint8Array {
    return this.#take(this.#end, this.#end).slice()
  }

  #take(end: number, next: number): Uint8Array {
    const taken = this.#buffer.subarray(this.#begin, end)
    this.#offset += next - this.#begin
    this.#begin = next
    return taken
  }
}
