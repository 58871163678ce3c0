import { Readable, Writable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import type { BootwrightError } from '../system/index.ts'
import type { Frame } from './channel-frames.ts'
import { CHUNK_BYTES } from './channel-script.ts'
import { type GuestExit, guestExit } from './guest-exit.ts'

/** How a process reaches the guest's end of the channel. */
type Send = (...parts: (string | Buffer)[]) => void

/** So long does leaving the scope wait for the end. */
const PATIENCE_MS = 5_000

/** One of a process's output streams. The guest sends a few pieces, and then one for each that was asked for. */
class GuestOutput extends Readable {
  readonly #more: () => void
  #owed = 0

  constructor(more: () => void) {
    super({ highWaterMark: CHUNK_BYTES })
    this.#more = more
  }

  receive(piece: Buffer): void {
    this.#owed++
    if (this.destroyed) this.#pay()
    else this.push(piece)
  }

  override _read(): void {
    this.#pay()
  }

  /** What is not read any more is thrown away, so that the process can get to its end. */
  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#pay()
    done(error)
  }

  #pay(): void {
    for (; this.#owed > 0; this.#owed--) this.#more()
  }
}

/**
 * A process that runs in the guest, with its streams as they come.
 *
 * A slow reader slows the process down, as a pipe would. Leaving its scope ends it.
 */
export class GuestProcess implements AsyncDisposable {
  /** Open until it is ended: without that, a process that reads it waits for ever. */
  readonly stdin: Writable
  readonly stdout: Readable
  readonly stderr: Readable
  /** Resolves when the process itself has ended, whatever it has started; rejects with `GUEST_GONE`. */
  readonly exited: Promise<GuestExit>
  readonly #boundary: string
  readonly #send: Send
  readonly #exit = Promise.withResolvers<GuestExit>()
  readonly #output: GuestOutput
  readonly #errors: GuestOutput
  /** What has still to come: both streams' ends and the exit. */
  readonly #awaited = new Set(['O', 'E', 'x'])
  /** The piece of input that the guest has not taken yet. */
  #written: ((error?: Error) => void) | undefined
  #isOver = false

  constructor(boundary: string, send: Send) {
    this.#boundary = boundary
    this.#send = send
    this.exited = this.#exit.promise
    this.exited.catch(() => undefined)
    this.#output = new GuestOutput(() => send(`more ${boundary} o\n`))
    this.#errors = new GuestOutput(() => send(`more ${boundary} e\n`))
    this.stdout = this.#output
    this.stderr = this.#errors
    this.stdin = new Writable({
      write: (chunk: Buffer, _encoding, done) => void this.#write(chunk, done),
      final: (done) => {
        if (!this.#isOver) send(`close ${boundary}\n`)
        done()
      },
    })
    // Nobody has to listen: `exited` tells as well.
    for (const stream of [this.stdin, this.stdout, this.stderr]) stream.on('error', () => undefined)
  }

  /** Sends a signal to the process and to those it has started. */
  kill(signal: NodeJS.Signals = 'SIGTERM'): void {
    if (!this.#isOver) this.#send(`stop ${signal.replace(/^SIG/, '')} ${this.#boundary}\n`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill('SIGKILL')
    this.stdout.resume()
    this.stderr.resume()
    // A guest that stands still does not answer.
    const patience = sleep(PATIENCE_MS, undefined, { ref: false })
    await Promise.race([this.exited.catch(() => undefined), patience])
  }

  /** What the guest says about this process; for the channel. Returns whether it was the last word. */
  receive(frame: Frame): boolean {
    if (frame.kind === 'o') this.#output.receive(frame.data)
    else if (frame.kind === 'e') this.#errors.receive(frame.data)
    else if (frame.kind === 'O') this.#output.push(null)
    else if (frame.kind === 'E') this.#errors.push(null)
    else if (frame.kind === 'a') this.#confirm()
    else if (frame.kind === 'p') this.#confirm(brokenPipe())
    else if (frame.kind === 'x') {
      this.#isOver = true
      this.#confirm(brokenPipe())
      this.#exit.resolve(guestExit(frame.exitCode))
    }
    this.#awaited.delete(frame.kind)
    return this.#awaited.size === 0
  }

  /** Ends everything; for the channel. */
  fail(reason: BootwrightError): void {
    this.#isOver = true
    this.#exit.reject(reason)
    this.#confirm(reason)
    for (const stream of [this.stdin, this.stdout, this.stderr]) stream.destroy(reason)
  }

  async #write(chunk: Buffer, done: (error?: Error) => void): Promise<void> {
    for (let start = 0; start < chunk.length; start += CHUNK_BYTES) {
      if (this.#isOver) return done(brokenPipe())
      const piece = chunk.subarray(start, start + CHUNK_BYTES)
      const taken = new Promise<Error | undefined>((resolve) => {
        this.#written = resolve
      })
      this.#send(`feed ${this.#boundary} ${piece.length}\n`, piece)
      const error = await taken
      if (error !== undefined) return done(error)
    }
    done()
  }

  #confirm(error?: Error): void {
    const written = this.#written
    this.#written = undefined
    written?.(error)
  }
}

function brokenPipe(): Error {
  return Object.assign(new Error('The process in the guest does not read its standard input any more'), {
    code: 'EPIPE',
  })
}
