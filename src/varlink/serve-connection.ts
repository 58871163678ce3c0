import type { Duplex } from 'node:stream'
import { BootwrightError } from '../system/index.ts'
import { VarlinkErrorReply } from './error-reply.ts'
import { FrameReader, MAX_MESSAGE_BYTES } from './framing.ts'
import { type CallMessage, formatReply, parseCall, type VarlinkParameters } from './message.ts'
import { peerOf } from './peer.ts'
import type { VarlinkPeer, VarlinkService } from './service.ts'

export interface ConnectionLimits {
  readonly maxMessageBytes: number
  /** How long a message may be on its way, from its first byte to its last. */
  readonly messageMs: number
  /** How long a reply may wait for a caller that does not read. */
  readonly replyMs: number
}

export const CONNECTION_LIMITS: ConnectionLimits = {
  maxMessageBytes: MAX_MESSAGE_BYTES,
  messageMs: 60_000,
  replyMs: 30_000,
}

export interface ServeOptions {
  readonly limits?: Partial<ConnectionLimits>
  /** Whoever the kernel says it is, when absent. */
  readonly peer?: VarlinkPeer
  /** Ends the connection. */
  readonly signal?: AbortSignal | undefined
  /** Told of what a method threw that is no reply, and of why a connection was cut. */
  readonly onProblem?: ((problem: BootwrightError) => void) | undefined
  /** Told how many bytes more (or fewer) wait for the rest of their message; what it throws cuts the connection. */
  readonly onPending?: ((change: number) => void) | undefined
}

/** Serves one connection, call after call, and resolves when it is over. Never rejects. */
export async function serveConnection(
  service: VarlinkService,
  stream: Duplex,
  options: ServeOptions = {},
): Promise<void> {
  await new ServedConnection(service, stream, options).run()
}

/** Of replies, in bytes: a longer one is worth a write of its own. */
const MOST_TOGETHER = 16 * 1024

type TakeOver = (stream: Duplex) => Promise<void>

class ServedConnection {
  readonly #service: VarlinkService
  readonly #stream: Duplex
  readonly #options: ServeOptions
  readonly #limits: ConnectionLimits
  readonly #gone = new AbortController()
  readonly #peer: VarlinkPeer
  readonly #reader: FrameReader
  #pending = 0
  #gathered: Uint8Array[] = []
  #gatheredBytes = 0
  #messageTimer: NodeJS.Timeout | undefined

  constructor(service: VarlinkService, stream: Duplex, options: ServeOptions) {
    this.#service = service
    this.#stream = stream
    this.#options = options
    this.#peer = options.peer ?? peerOf(stream)
    this.#limits = { ...CONNECTION_LIMITS, ...options.limits }
    this.#reader = new FrameReader(this.#limits.maxMessageBytes)
    stream.once('close', () => this.#gone.abort())
    // That the peer has gone is told by the reading and the writing.
    stream.on('error', () => undefined)
  }

  async run(): Promise<void> {
    const { signal } = this.#options
    const end = (): void => void this.#stream.destroy()
    signal?.addEventListener('abort', end, { once: true })
    if (signal?.aborted) end()
    try {
      const takeOver = await this.#serveCalls()
      if (takeOver !== undefined) await this.#handOver(takeOver)
      await this.#finish()
    } catch (error) {
      if (error instanceof BootwrightError) this.#options.onProblem?.(error)
    } finally {
      clearTimeout(this.#messageTimer)
      signal?.removeEventListener('abort', end)
      this.#account(0)
      this.#sendReplies()
      this.#stream.destroy()
      this.#gone.abort()
    }
  }

  /** Until the caller has nothing more to say, or takes the connection for something else. */
  async #serveCalls(): Promise<TakeOver | undefined> {
    for await (const chunk of this.#stream.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      this.#reader.push(chunk)
      for (let message = this.#reader.next(); message !== undefined; message = this.#reader.next()) {
        clearTimeout(this.#messageTimer)
        this.#messageTimer = undefined
        const takeOver = await this.#serve(parseCall(message))
        if (takeOver !== undefined) return takeOver
      }
      this.#account(this.#reader.pendingBytes)
      this.#watchMessage()
    }
    return undefined
  }

  async #serve(call: CallMessage): Promise<TakeOver | undefined> {
    let takeOver: TakeOver | undefined
    const reply = await this.#answer(call, (use) => {
      takeOver = use
    })
    if (!call.oneway) await this.#write(formatReply(reply))
    return reply.error === undefined ? takeOver : undefined
  }

  async #answer(
    call: CallMessage,
    takeOver: (use: TakeOver) => void,
  ): Promise<{ error?: string; parameters: VarlinkParameters }> {
    try {
      const parameters = await this.#service.answer(call, {
        peer: this.#peer,
        signal: this.#gone.signal,
        send: async (parameters) => {
          if (!call.more) throw new BootwrightError('BUG', `${call.method} has more than one reply for a caller of one`)
          await this.#write(formatReply({ parameters, continues: true }))
        },
        takeOver: (use) => {
          if (!call.upgrade) throw new BootwrightError('BUG', `${call.method} takes over what was not offered`)
          takeOver(use)
        },
      })
      return { parameters }
    } catch (error) {
      if (error instanceof VarlinkErrorReply) return { error: error.error, parameters: error.parameters }
      if (this.#gone.signal.aborted) throw error
      const problem =
        error instanceof BootwrightError
          ? error
          : new BootwrightError('BUG', `${call.method} failed: ${error instanceof Error ? error.message : error}`, {
              cause: error,
            })
      this.#options.onProblem?.(problem)
      return { error: 'io.systemd.System', parameters: { origin: 'linux', errnoName: 'EIO', errno: 5 } }
    }
  }

  /** Resolves when the reply is the system's, or has room behind it. */
  async #write(bytes: Uint8Array): Promise<void> {
    if (this.#stream.destroyed) throw new Error('The caller has gone')
    if (this.#gather(bytes)) return
    const { replyMs } = this.#limits
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const timer = setTimeout(() => {
      reject(new BootwrightError('TIMED_OUT', `A caller has not read its reply within ${replyMs} ms`))
    }, replyMs)
    const gone = (): void => reject(new Error('The caller has gone'))
    this.#stream.once('drain', resolve)
    this.#gone.signal.addEventListener('abort', gone, { once: true })
    try {
      await promise
    } finally {
      clearTimeout(timer)
      this.#stream.off('drain', resolve)
      this.#gone.signal.removeEventListener('abort', gone)
    }
  }

  /** The replies to calls that came together go together. Returns whether there is room for more. */
  #gather(bytes: Uint8Array): boolean {
    this.#gathered.push(bytes)
    this.#gatheredBytes += bytes.length
    if (this.#stream.writableNeedDrain || this.#gatheredBytes >= MOST_TOGETHER) return this.#sendReplies()
    if (this.#gathered.length === 1) process.nextTick(() => this.#sendReplies())
    return true
  }

  #sendReplies(): boolean {
    const [first] = this.#gathered
    if (first === undefined || this.#stream.destroyed) return true
    const together = this.#gathered.length === 1 ? first : Buffer.concat(this.#gathered, this.#gatheredBytes)
    this.#gathered = []
    this.#gatheredBytes = 0
    return this.#stream.write(together)
  }

  async #handOver(use: TakeOver): Promise<void> {
    this.#sendReplies()
    const rest = this.#reader.takeRest()
    if (rest.length > 0) this.#stream.unshift(rest)
    await use(this.#stream)
  }

  /** Gives what was written the time to be read. */
  async #finish(): Promise<void> {
    this.#sendReplies()
    if (this.#stream.destroyed || this.#stream.writableFinished) return
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(resolve, this.#limits.replyMs)
    this.#stream.once('close', resolve)
    this.#stream.end(resolve)
    await promise
    clearTimeout(timer)
  }

  #watchMessage(): void {
    if (this.#reader.pendingBytes === 0 || this.#messageTimer !== undefined) return
    const { messageMs } = this.#limits
    this.#messageTimer = setTimeout(() => {
      const problem = new BootwrightError('TIMED_OUT', `A caller has not ended its message within ${messageMs} ms`)
      this.#stream.destroy(problem)
    }, messageMs)
  }

  #account(bytes: number): void {
    const change = bytes - this.#pending
    this.#pending = bytes
    if (change !== 0) this.#options.onPending?.(change)
  }
}
