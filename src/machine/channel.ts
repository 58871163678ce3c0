import { randomBytes } from 'node:crypto'
import type { Duplex } from 'node:stream'
import { BootwrightError, quote } from '../system/index.ts'
import { CHANNEL_BANNER } from './channel-script.ts'

export interface GuestResult {
  readonly exitCode: number
  readonly stdout: Buffer
  readonly stderr: Buffer
}

export interface GuestRunOptions {
  readonly signal?: AbortSignal | undefined
  /** Bytes for standard input; without them it is empty. */
  readonly input?: string | Uint8Array
  /** Ends the command in the guest after so long, SIGTERM first. */
  readonly timeoutMs?: number
}

/** Replies arrive in pieces of this grammar: status line, stdout up to the boundary, stderr up to the boundary. */
interface Reply {
  readonly boundary: string
  readonly exitCode: number
  /** What has come of the current part. */
  pieces: Buffer[]
  readonly parts: Buffer[]
}

const NEWLINE = 0x0a

/**
 * Runs commands in a guest through a shell at the other end of a virtio-serial port (see channel-script.ts).
 *
 * Several at once; output is binary-safe, standard output and standard error apart.
 */
export class GuestChannel {
  readonly #stream: Duplex
  readonly #waiting = new Map<string, { resolve(result: GuestResult): void; reject(error: Error): void }>()
  readonly #opened = Promise.withResolvers<void>()
  #buffered: Buffer = Buffer.alloc(0)
  #reply: Reply | undefined
  #gone: BootwrightError | undefined

  /** @param options.isOpen the guest's end has spoken before, to somebody else */
  constructor(stream: Duplex, options: { isOpen?: boolean } = {}) {
    this.#stream = stream
    if (options.isOpen === true) this.#opened.resolve()
    stream.on('error', () => undefined)
    stream.on('data', (chunk: Buffer) => this.#receive(chunk))
    const close = () =>
      this.#close(new BootwrightError('GUEST_GONE', 'The guest channel was closed: the machine is off'))
    stream.once('end', close)
    stream.once('close', close)
  }

  /**
   * Resolves when the guest's end answers: a positive token, whatever the console says.
   *
   * Nothing is sent before the guest's end has spoken: OVMF has a driver for virtio-serial and would swallow it.
   */
  async ready(signal?: AbortSignal): Promise<void> {
    await this.#opened.promise
    await this.#request((boundary) => [`hello ${boundary}\n`], signal)
  }

  /** Runs argv; resolves with its exit status whatever that is. */
  async run(argv: readonly string[], options: GuestRunOptions = {}): Promise<GuestResult> {
    if (argv.length === 0)
      throw new BootwrightError('INVALID_ARGUMENT', 'Expected a command to run in the guest, found none')
    const input = options.input === undefined ? undefined : Buffer.from(options.input)
    let name = ''
    const result = this.#request((boundary) => {
      name = boundary
      const line = `run ${boundary} ${argv.map(word).join(' ')}\n`
      return input === undefined ? [line] : [`put ${boundary} ${input.length}\n`, input, line]
    }, options.signal)
    if (options.timeoutMs === undefined) return result
    const timer = setTimeout(() => this.#stream.write(`stop TERM ${name}\n`), options.timeoutMs)
    const killer = setTimeout(() => this.#stream.write(`stop KILL ${name}\n`), options.timeoutMs + 5_000)
    try {
      return await result
    } finally {
      clearTimeout(timer)
      clearTimeout(killer)
    }
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
    const { exitCode, stderr } = await this.#request((boundary) => [
      `store ${boundary} ${body.length} ${mode.toString(8)} ${word(path)}\n`,
      body,
    ])
    if (exitCode !== 0) {
      throw new BootwrightError(
        'GUEST_COMMAND_FAILED',
        `Cannot write ${path} in the guest: ${stderr.toString().trim()}`,
      )
    }
  }

  /** Rejects everything that still waits, with the reason given. */
  fail(reason: BootwrightError): void {
    this.#close(reason)
  }

  #request(compose: (boundary: string) => (string | Buffer)[], signal?: AbortSignal): Promise<GuestResult> {
    if (this.#gone !== undefined) return Promise.reject(this.#gone)
    signal?.throwIfAborted()
    const boundary = randomBytes(16).toString('hex')
    return new Promise((resolve, reject) => {
      const abort = () => {
        this.#waiting.delete(boundary)
        this.#stream.write(`stop KILL ${boundary}\n`)
        reject(signal?.reason)
      }
      signal?.addEventListener('abort', abort, { once: true })
      const settle = () => signal?.removeEventListener('abort', abort)
      this.#waiting.set(boundary, {
        resolve: (result) => {
          settle()
          resolve(result)
        },
        reject: (error) => {
          settle()
          reject(error)
        },
      })
      for (const part of compose(boundary)) this.#stream.write(part)
    })
  }

  #receive(chunk: Buffer): void {
    this.#buffered = this.#buffered.length === 0 ? chunk : Buffer.concat([this.#buffered, chunk])
    while (this.#step());
  }

  /** Takes one piece off the buffer; false when it is not whole yet. */
  #step(): boolean {
    const reply = this.#reply
    if (reply === undefined) {
      const end = this.#buffered.indexOf(NEWLINE)
      if (end < 0) return false
      const line = this.#buffered.subarray(0, end).toString('latin1')
      const [boundary = '', status = ''] = line.split(' ')
      this.#buffered = this.#buffered.subarray(end + 1)
      if (line === CHANNEL_BANNER) this.#opened.resolve()
      // Anything else is not ours: firmware that took the port for a console.
      if (/^[0-9a-f]{32}$/.test(boundary)) this.#reply = { boundary, exitCode: Number(status), pieces: [], parts: [] }
      return true
    }
    const end = this.#buffered.indexOf(`${reply.boundary}\n`, 0, 'latin1')
    // The boundary may have come by half: that many bytes stay for the next look.
    const taken = end < 0 ? Math.max(0, this.#buffered.length - reply.boundary.length) : end
    reply.pieces.push(this.#buffered.subarray(0, taken))
    if (end < 0) {
      this.#buffered = this.#buffered.subarray(taken)
      return false
    }
    this.#buffered = this.#buffered.subarray(end + reply.boundary.length + 1)
    reply.parts.push(Buffer.concat(reply.pieces))
    reply.pieces = []
    const [stdout, stderr] = reply.parts
    if (stdout !== undefined && stderr !== undefined) {
      this.#reply = undefined
      this.#waiting.get(reply.boundary)?.resolve({ exitCode: reply.exitCode, stdout, stderr })
      this.#waiting.delete(reply.boundary)
    }
    return true
  }

  #close(reason: BootwrightError): void {
    if (this.#gone !== undefined) return
    this.#gone = reason
    this.#opened.promise.catch(() => undefined)
    this.#opened.reject(reason)
    for (const waiting of this.#waiting.values()) waiting.reject(reason)
    this.#waiting.clear()
  }
}

/** A word for the guest's shell. A request is one line, so a newline is written as a variable's content. */
function word(text: string): string {
  if (text.includes('\0'))
    throw new BootwrightError('INVALID_ARGUMENT', 'An argument of a guest command contains a NUL byte')
  if (!text.includes('\n')) return quote(text)
  return text
    .split('\n')
    .map((part) => (part === '' ? '' : quote(part)))
    .join('"$nl"')
}
