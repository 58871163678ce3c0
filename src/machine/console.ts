import type { Duplex } from 'node:stream'
// A CommonJS module: its names are not exports of their own.
import xterm from '@xterm/headless'

const COLUMNS = 160
const ROWS = 50
/** What is kept in memory, at least; the raw bytes are all in the log file that QEMU writes. */
const TAIL_BYTES = 256 * 1024
const SCROLLBACK_LINES = 5_000
/** A guest that never ends its line has it cut here. */
const MAX_LINE_CHARACTERS = 16_384

/**
 * The serial console of a machine: bytes as they come, whole lines without control sequences, and the screen as a
 * terminal would show it.
 */
export class ConsoleLog {
  readonly #stream: Duplex
  /** The last bytes as they came, for a terminal that is made when somebody looks. */
  #tail: Buffer[] = []
  #tailBytes = 0
  readonly #lineListeners = new Set<(line: string) => void>()
  readonly #byteListeners = new Set<(bytes: Uint8Array) => void>()
  readonly #decoder = new TextDecoder('utf-8')
  #partial = ''
  #bytes = 0
  #bytesUnasked = 0

  constructor(stream: Duplex) {
    this.#stream = stream
    stream.on('error', () => undefined)
    stream.on('data', (chunk: Buffer) => this.#receive(chunk))
  }

  /** Bytes seen so far: grows as long as the guest says anything. */
  get byteCount(): number {
    return this.#bytes
  }

  /** Bytes since somebody typed something, or from the start. */
  get unaskedByteCount(): number {
    return this.#bytesUnasked
  }

  /** The unfinished line at the end, without control sequences: a prompt that waits, perhaps. */
  get partialLine(): string {
    return withoutControls(this.#partial)
  }

  /** Calls back for each line, without control sequences, until the returned function is called. */
  onLine(listener: (line: string) => void): () => void {
    this.#lineListeners.add(listener)
    return () => this.#lineListeners.delete(listener)
  }

  onBytes(listener: (bytes: Uint8Array) => void): () => void {
    this.#byteListeners.add(listener)
    return () => this.#byteListeners.delete(listener)
  }

  /** Types into the console. */
  write(bytes: string | Uint8Array): void {
    this.#bytesUnasked = 0
    if (!this.#stream.destroyed) this.#stream.write(bytes)
  }

  /** The last lines of the rendered screen that are not blank, oldest first. */
  async lastLines(count: number): Promise<string[]> {
    const terminal = new xterm.Terminal({
      cols: COLUMNS,
      rows: ROWS,
      scrollback: SCROLLBACK_LINES,
      allowProposedApi: true,
      // It would complain on our own standard error about what a guest writes.
      logLevel: 'off',
    })
    const tail = Buffer.concat(this.#tail)
    await new Promise<void>((resolve) => terminal.write(tail, resolve))
    const buffer = terminal.buffer.active
    const lines: string[] = []
    for (let row = buffer.length - 1; row >= 0 && lines.length < count; row--) {
      const text = buffer.getLine(row)?.translateToString(true) ?? ''
      if (text.trim() !== '') lines.unshift(text)
    }
    terminal.dispose()
    return lines
  }

  #remember(chunk: Buffer): void {
    this.#tail.push(chunk)
    this.#tailBytes += chunk.length
    if (this.#tailBytes < 2 * TAIL_BYTES) return
    // A copy: what is cut off is not to be kept by what is not.
    const kept = Buffer.from(Buffer.concat(this.#tail).subarray(-TAIL_BYTES))
    this.#tail = [kept]
    this.#tailBytes = kept.length
  }

  #receive(chunk: Buffer): void {
    this.#bytes += chunk.length
    this.#bytesUnasked += chunk.length
    this.#remember(chunk)
    const lines = (this.#partial + this.#decoder.decode(chunk, { stream: true })).split('\n')
    this.#partial = lines.pop() ?? ''
    if (this.#partial.length > MAX_LINE_CHARACTERS) {
      lines.push(this.#partial)
      this.#partial = ''
    }
    for (const line of lines) {
      const text = withoutControls(line)
      for (const listener of this.#lineListeners) listener(text)
    }
    // Last: a listener may look at the line that these bytes are part of.
    for (const listener of this.#byteListeners) listener(chunk)
  }
}

/** Control sequences (ECMA-48, and the private ones of firmware) and control characters. */
const CONTROLS = new RegExp(
  [
    String.raw`\x1b\[[0-?]*[ -/]*[@-~]`,
    String.raw`\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)`,
    // Device control strings and their like: systemd asks the terminal for its name with one.
    String.raw`\x1b[PX^_][^\x1b]*\x1b\\`,
    String.raw`\x1b[ -/]*[0-~]`,
    String.raw`[\x00-\x08\x0b-\x1f\x7f]`,
  ].join('|'),
  'g',
)

/** A text as it reads: without control sequences and control characters. */
export function withoutControls(line: string): string {
  return line.replaceAll(CONTROLS, '')
}
