import { randomBytes } from 'node:crypto'
import type { Duplex } from 'node:stream'
import { BootwrightError, describe } from '../system/index.ts'
import { type Frame, FrameParser } from './channel-frames.ts'
import { CHANNEL_BANNER } from './channel-script.ts'
import { describeExit, type GuestExit, guestExit } from './guest-exit.ts'
import { GuestProcess } from './guest-process.ts'
import { commandLine, word } from './guest-words.ts'
import { SilenceWatch } from './silence-watch.ts'

export interface GuestResult extends GuestExit {
  readonly stdout: Buffer
  readonly stderr: Buffer
}

export interface GuestRunOptions {
  readonly signal?: AbortSignal | undefined
  /** Bytes for standard input; without them it is empty. */
  readonly input?: string | Uint8Array
  /**
   * Ends the command in the guest after so long, SIGTERM first, and rejects with `GUEST_COMMAND_FAILED`; with
   * `GUEST_SILENT` when not even the guest's end of the channel answers any more.
   */
  readonly timeoutMs?: number
}

/** Who waits for frames under a boundary. */
interface Waiting {
  /** Returns whether that was the last one. */
  receive(frame: Frame): boolean
  fail(reason: BootwrightError): void
}

/** After SIGTERM so long until SIGKILL, and then so long again until the channel itself counts as dead. */
const PATIENCE_MS = 5_000
/** A guest that switches off closes its end a moment before the machine is off, which says more about what was lost. */
const CLOSING_MS = 1_000

/**
 * Runs commands in a guest through a shell at the other end of a virtio-serial port (see channel-script.ts).
 *
 * Several at once; output is binary-safe, standard output and standard error apart. The guest's end may start anew, as it
 * does in a reboot: what waited for it is rejected, and what comes then waits until it speaks.
 */
export class GuestChannel {
  readonly #stream: Duplex
  readonly #parser: FrameParser
  readonly #waiting = new Map<string, Waiting>()
  readonly #silence: SilenceWatch
  #isOpen: boolean
  /** The next time that the guest's end starts. */
  #nextStart = Promise.withResolvers<void>()
  /** Starts that only the banner has told of: the news that the guest's end had gone may come later. */
  #unannounced = 0
  #gone: BootwrightError | undefined
  /** Until then it is not told why the guest's end has gone. */
  #closing: NodeJS.Timeout | undefined

  /**
   * @param options.isOpen the guest's end has spoken before, to somebody else
   * @param options.silenceMs so long may it give no sign of life while somebody waits for it (120 s when absent)
   */
  constructor(stream: Duplex, options: { isOpen?: boolean; silenceMs?: number | undefined } = {}) {
    this.#stream = stream
    this.#isOpen = options.isOpen === true
    this.#silence = new SilenceWatch(
      {
        // Nobody waits for this answer: that something comes is enough.
        probe: () => this.#send([`hello ${newBoundary()}\n`]),
        unread: () => stream.writableLength,
        silent: () => this.#reject(this.#silentError()),
      },
      options.silenceMs,
    )
    this.#nextStart.promise.catch(() => undefined)
    this.#parser = new FrameParser(CHANNEL_BANNER, {
      onBanner: () => this.#start(),
      onFrame: (frame) => {
        if (this.#waiting.get(frame.boundary)?.receive(frame) === true) this.#forget(frame.boundary)
      },
    })
    stream.on('error', () => undefined)
    stream.on('data', (chunk: Buffer) => {
      this.#silence.heard()
      this.#parser.push(chunk)
    })
    const close = () => this.fail(new BootwrightError('GUEST_GONE', 'The guest channel was closed: the machine is off'))
    stream.once('end', close)
    stream.once('close', close)
  }

  /** The guest's end has spoken, and has not ended since. */
  get isOpen(): boolean {
    return this.#isOpen
  }

  /** To be told when the machine's processors stand still, and when they run again. */
  set isPaused(isPaused: boolean) {
    this.#silence.isPaused = isPaused
  }

  /**
   * Resolves when the guest's end answers: a positive token, whatever the console says.
   *
   * Nothing is sent before the guest's end has spoken: OVMF has a driver for virtio-serial and would swallow it.
   */
  async ready(signal?: AbortSignal): Promise<void> {
    await this.#request((boundary) => [`hello ${boundary}\n`], { signal })
  }

  /** Resolves when the guest's end starts the next time, as after a reboot. */
  reopened(signal?: AbortSignal): Promise<void> {
    if (this.#gone !== undefined) return Promise.reject(this.#gone)
    return unlessAborted(this.#nextStart.promise, signal)
  }

  /** Runs argv; resolves with its exit status whatever that is. */
  async run(argv: readonly string[], options: GuestRunOptions = {}): Promise<GuestResult> {
    const words = commandLine(argv)
    const input = options.input === undefined ? undefined : Buffer.from(options.input)
    const compose = (boundary: string) => {
      const line = `run ${boundary} ${words}\n`
      return input === undefined ? [line] : [`put ${boundary} ${input.length}\n`, input, line]
    }
    const { signal, timeoutMs } = options
    return timeoutMs === undefined
      ? this.#request(compose, { signal })
      : this.#limited(describe({ argv }), timeoutMs, (onSent) => this.#request(compose, { signal, onSent }))
  }

  /** Starts argv; its streams come as they are written. The signal kills it. */
  async spawn(argv: readonly string[], options: { signal?: AbortSignal | undefined } = {}): Promise<GuestProcess> {
    const words = commandLine(argv)
    const { signal } = options
    await this.#untilOpen(signal)
    const boundary = newBoundary()
    const process = new GuestProcess(boundary, (...parts) => this.#send(parts))
    this.#await(boundary, process)
    this.#send([`spawn ${boundary} ${words}\n`])
    const abort = () => process.kill('SIGKILL')
    signal?.addEventListener('abort', abort, { once: true })
    const forget = () => signal?.removeEventListener('abort', abort)
    process.exited.then(forget, forget)
    return process
  }

  /** The bytes of a file in the guest. */
  async readFile(path: string): Promise<Buffer> {
    const { exitCode, stdout, stderr } = await this.run(['cat', '--', path])
    if (exitCode !== 0) {
      throw new BootwrightError('GUEST_COMMAND_FAILED', `Cannot read ${path} in the guest: ${stderr.toString().trim()}`)
    }
    return stdout
  }

  /** Writes a file in the guest, aside and renamed; makes its directories. */
  async writeFile(path: string, bytes: string | Uint8Array, mode = 0o644): Promise<void> {
    if (!path.startsWith('/')) {
      throw new BootwrightError(
        'INVALID_ARGUMENT',
        `Expected an absolute path in the guest, found ${JSON.stringify(path)}`,
      )
    }
    const body = Buffer.from(bytes)
    const place = word(path)
    const { exitCode, stderr } = await this.#request((boundary) => [
      `store ${boundary} ${body.length} ${mode.toString(8)} ${place}\n`,
      body,
    ])
    if (exitCode !== 0) {
      throw new BootwrightError(
        'GUEST_COMMAND_FAILED',
        `Cannot write ${path} in the guest: ${stderr.toString().trim()}`,
      )
    }
  }

  /** Rejects everything that still waits, with the reason given, and everything that comes later. */
  fail(reason: BootwrightError): void {
    if (this.#gone !== undefined) return
    this.#gone = reason
    this.#isOpen = false
    this.#nextStart.reject(reason)
    this.#reject(reason)
  }

  /** To be told when the guest has closed its end: it was reset, or its end was killed. It may come back. */
  guestClosed(): void {
    if (this.#unannounced > 0) this.#unannounced--
    else {
      if (this.#isOpen) this.#closing = setTimeout(() => this.#lose(), CLOSING_MS)
      this.#isOpen = false
      // The banner of the next one may be in what seemed to be output of a command.
      this.#parser.restart()
    }
  }

  #start(): void {
    if (this.#gone !== undefined) return
    if (this.#isOpen) this.#unannounced++
    this.#lose()
    this.#isOpen = true
    const started = this.#nextStart
    this.#nextStart = Promise.withResolvers()
    this.#nextStart.promise.catch(() => undefined)
    started.resolve()
  }

  #lose(): void {
    this.#reject(
      new BootwrightError('GUEST_GONE', "The guest's end of the channel ended before the command did", {
        hint: 'The guest was restarted, or something in it has killed bootwright-channel.service.',
      }),
    )
  }

  #reject(reason: BootwrightError): void {
    clearTimeout(this.#closing)
    const waiting = [...this.#waiting.values()]
    this.#waiting.clear()
    this.#silence.isNeeded = false
    for (const one of waiting) one.fail(reason)
  }

  #await(boundary: string, waiting: Waiting): void {
    this.#waiting.set(boundary, waiting)
    this.#silence.isNeeded = true
  }

  /** Returns whether somebody had waited. */
  #forget(boundary: string): boolean {
    const wasThere = this.#waiting.delete(boundary)
    this.#silence.isNeeded = this.#waiting.size > 0
    return wasThere
  }

  #silentError(): BootwrightError {
    const seconds = Math.round(this.#silence.silenceMs / 1000)
    return new BootwrightError('GUEST_SILENT', `The guest has given no sign of life for ${seconds} s`, {
      hint: 'It hangs, or has no time for its end of the channel: the end of its console may tell why.',
      detail: { silenceMs: this.#silence.silenceMs },
    })
  }

  async #untilOpen(signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted()
    if (this.#gone !== undefined) throw this.#gone
    while (!this.#isOpen) await this.reopened(signal)
  }

  async #request(
    compose: (boundary: string) => (string | Buffer)[],
    options: { signal?: AbortSignal | undefined; onSent?: (boundary: string) => void } = {},
  ): Promise<GuestResult> {
    const { signal, onSent } = options
    if (this.#isOpen) signal?.throwIfAborted()
    else await this.#untilOpen(signal)
    const boundary = newBoundary()
    const reply = Promise.withResolvers<GuestResult>()
    const output: Record<'o' | 'e', Buffer> = { o: Buffer.alloc(0), e: Buffer.alloc(0) }
    this.#await(boundary, {
      receive(frame) {
        if (frame.kind === 'o' || frame.kind === 'e') output[frame.kind] = frame.data
        if (frame.kind !== 'x') return false
        reply.resolve({ ...guestExit(frame.exitCode), stdout: output.o, stderr: output.e })
        return true
      },
      fail: reply.reject,
    })
    this.#send(compose(boundary))
    onSent?.(boundary)
    try {
      return await unlessAborted(reply.promise, signal)
    } finally {
      // Nobody waits for it any more: nor may it go on.
      if (this.#forget(boundary)) this.#stop('KILL', boundary)
    }
  }

  async #limited(
    command: string,
    timeoutMs: number,
    ask: (onSent: (boundary: string) => void) => Promise<GuestResult>,
  ): Promise<GuestResult> {
    const silent = Promise.withResolvers<never>()
    const timers: NodeJS.Timeout[] = []
    let isLate = false
    const asked = ask((boundary) => {
      const late = () => {
        isLate = true
        this.#stop('TERM', boundary)
      }
      const giveUp = () => {
        this.#forget(boundary)
        silent.reject(
          new BootwrightError('GUEST_SILENT', `The guest did not answer ${command}, nor could it be ended there`, {
            detail: { timeoutMs },
          }),
        )
      }
      timers.push(
        setTimeout(late, timeoutMs),
        setTimeout(() => this.#stop('KILL', boundary), timeoutMs + PATIENCE_MS),
        setTimeout(giveUp, timeoutMs + 2 * PATIENCE_MS),
      )
    })
    try {
      const result = await Promise.race([asked, silent.promise])
      if (!isLate) return result
      throw new BootwrightError(
        'GUEST_COMMAND_FAILED',
        `${command} did not end in the guest within ${timeoutMs} ms; it was ended with ${describeExit(result)}`,
        { detail: { timeoutMs, exitCode: result.exitCode } },
      )
    } finally {
      for (const timer of timers) clearTimeout(timer)
    }
  }

  #stop(signal: string, boundary: string): void {
    this.#send([`stop ${signal} ${boundary}\n`])
  }

  #send(parts: readonly (string | Buffer)[]): void {
    // While the guest's end is away there is nobody to tell, and firmware may listen in its place.
    if (this.#isOpen) for (const part of parts) this.#stream.write(part)
  }
}

/** The promise, or the reason of the signal when that comes first. */
function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason)
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}

function newBoundary(): string {
  return randomBytes(16).toString('hex')
}
