/**
 * What the guest's end of the channel writes: lines `BOUNDARY KIND [STATUS]`, where data of the kinds `o` and `e` follow
 * up to the next `BOUNDARY\n`. Replies of different requests stand in any order, but a frame is always whole.
 */
export type Frame =
  /** Bytes of standard output (`o`) or standard error (`e`). */
  | { readonly kind: 'o' | 'e'; readonly boundary: string; readonly data: Buffer }
  /** Standard output or error has ended; only of a process that is streamed. */
  | { readonly kind: 'O' | 'E'; readonly boundary: string }
  /** A piece of standard input was taken (`a`), or nobody reads it any more (`p`). */
  | { readonly kind: 'a' | 'p'; readonly boundary: string }
  /** The command has ended, with the status as a shell has it. */
  | { readonly kind: 'x'; readonly boundary: string; readonly exitCode: number }

export interface FrameListener {
  onFrame(frame: Frame): void
  /** The guest's end has started, for the first time or anew. */
  onBanner(): void
}

const NEWLINE = 0x0a
const HEAD = /^([0-9a-f]{32}) (?:([oeOEap])|x (\d{1,3}))$/
/** Longer ones are not of the channel: firmware, or a guest's program that writes to the port. */
const MAX_LINE_BYTES = 4096

/** Takes frames out of a stream of bytes that comes in pieces of any size. */
export class FrameParser {
  readonly #banner: string
  readonly #listener: FrameListener
  #buffered: Buffer = Buffer.alloc(0)
  /** The frame whose data are under way. */
  #open: { readonly kind: 'o' | 'e'; readonly boundary: string; readonly pieces: Buffer[] } | undefined

  constructor(banner: string, listener: FrameListener) {
    this.#banner = banner
    this.#listener = listener
  }

  push(chunk: Buffer): void {
    this.#buffered = this.#buffered.length === 0 ? chunk : Buffer.concat([this.#buffered, chunk])
    while (this.#open === undefined ? this.#line() : this.#data());
  }

  /** The guest's end has gone, perhaps in the middle of a frame: what comes next is a banner, if it has not come yet. */
  restart(): void {
    const open = this.#open
    this.#open = undefined
    if (open === undefined) {
      // Half a line that the end of the guest's end has cut off.
      if (!this.#banner.startsWith(this.#buffered.toString('latin1'))) this.#buffered = Buffer.alloc(0)
      return
    }
    const all = Buffer.concat([Buffer.from('\n'), ...open.pieces, this.#buffered])
    const at = all.lastIndexOf(`\n${this.#banner}\n`)
    this.#buffered = Buffer.alloc(0)
    this.push(at < 0 ? Buffer.from('\n') : all.subarray(at))
  }

  /** Takes a line off the buffer; false when none is whole. */
  #line(): boolean {
    const end = this.#buffered.indexOf(NEWLINE)
    if (end < 0) {
      if (this.#buffered.length > MAX_LINE_BYTES) this.#buffered = Buffer.alloc(0)
      return false
    }
    const line = end > MAX_LINE_BYTES ? '' : this.#buffered.toString('latin1', 0, end)
    this.#buffered = this.#buffered.subarray(end + 1)
    if (line === this.#banner) this.#listener.onBanner()
    // Anything else is not ours: firmware that took the port for a console.
    const [, boundary, kind, status] = HEAD.exec(line) ?? []
    if (boundary === undefined) return true
    if (kind === undefined) this.#listener.onFrame({ kind: 'x', boundary, exitCode: Number(status) })
    else if (kind === 'o' || kind === 'e') this.#open = { kind, boundary, pieces: [] }
    else this.#listener.onFrame({ kind: kind as 'O', boundary })
    return true
  }

  /** Takes what there is of a frame's data off the buffer; false when its end is not there. */
  #data(): boolean {
    const open = this.#open
    if (open === undefined) return true
    const end = this.#buffered.indexOf(`${open.boundary}\n`, 0, 'latin1')
    // The boundary may have come by half: that many bytes stay for the next look.
    const taken = end < 0 ? Math.max(0, this.#buffered.length - open.boundary.length) : end
    if (taken > 0) open.pieces.push(this.#buffered.subarray(0, taken))
    this.#buffered = this.#buffered.subarray(end < 0 ? taken : end + open.boundary.length + 1)
    if (end < 0) return false
    this.#open = undefined
    this.#listener.onFrame({ kind: open.kind, boundary: open.boundary, data: Buffer.concat(open.pieces) })
    return true
  }
}
