import { connect } from 'node:net'
import type { Duplex } from 'node:stream'
import { BootwrightError } from '../system/index.ts'
import { VarlinkErrorReply } from './error-reply.ts'
import { FrameReader, MAX_MESSAGE_BYTES } from './framing.ts'
import type { InterfaceDescription } from './idl/description.ts'
import { parseInterface } from './idl/parse.ts'
import { type CallMessage, formatCall, parseReply, type ReplyMessage, type VarlinkParameters } from './message.ts'
import { ReplyQueue } from './reply-queue.ts'

export interface CallOptions {
  /** Gives up: Varlink cannot take a call back, so the connection ends with it. */
  readonly signal?: AbortSignal | undefined
}

/** A connection to a service. Calls are answered in their order; any number may wait. Leaving the scope closes it. */
export interface VarlinkConnection extends AsyncDisposable {
  /**
   * Rejects with a {@link VarlinkErrorReply} when the service answers with an error, `MALFORMED_INPUT` when what it says is no
   * Varlink, and `TOOL_FAILED` when it ends the connection.
   */
  call<Reply = VarlinkParameters>(method: string, parameters?: VarlinkParameters, options?: CallOptions): Promise<Reply>
  /** Replies of a call with `more`, as they come; no more are read than are taken. Leaving the loop early ends the connection. */
  stream<Reply = VarlinkParameters>(
    method: string,
    parameters?: VarlinkParameters,
    options?: CallOptions,
  ): AsyncGenerator<Reply, void, undefined>
  /** Sends a call that has no reply. */
  oneway(method: string, parameters?: VarlinkParameters): void
  /** The reply, and the connection as it is behind it: the caller's from then on. */
  upgrade(
    method: string,
    parameters?: VarlinkParameters,
    options?: CallOptions,
  ): Promise<{ reply: VarlinkParameters; stream: Duplex }>
  /** What the service says of one of its interfaces. */
  describe(name: string, options?: CallOptions): Promise<InterfaceDescription>
}

/** Connects to the UNIX socket at a path. Rejects with `HOST_UNSUITABLE` when nobody listens there. */
export async function connectVarlink(path: string, { signal }: CallOptions = {}): Promise<VarlinkConnection> {
  const socket = connect({ path, signal })
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  socket.once('connect', resolve).once('error', reject)
  try {
    await promise
  } catch (cause) {
    signal?.throwIfAborted()
    const problem = cause instanceof Error ? cause.message : String(cause)
    throw new BootwrightError('HOST_UNSUITABLE', `Cannot connect to ${path}: ${problem}`, {
      cause,
      hint: 'Is the service there, and may this user reach it?',
    })
  }
  socket.off('error', reject)
  return varlinkConnection(socket)
}

/** Speaks to a service over a stream that leads to it. */
export function varlinkConnection(stream: Duplex, maxMessageBytes: number = MAX_MESSAGE_BYTES): VarlinkConnection {
  return new Connection(stream, maxMessageBytes)
}

const endedByService = (cause?: unknown): BootwrightError =>
  new BootwrightError('TOOL_FAILED', 'The Varlink service has ended the connection', { cause })

interface WaitingCall {
  readonly call: CallMessage
  readonly replies: ReplyQueue
}

class Connection implements VarlinkConnection {
  readonly #stream: Duplex
  readonly #reader: FrameReader
  readonly #waiting: WaitingCall[] = []
  readonly #reading: Promise<void>
  #isUpgraded = false
  /** Why no call can be made any more. */
  #over: Error | undefined

  constructor(stream: Duplex, maxMessageBytes: number) {
    this.#stream = stream
    this.#reader = new FrameReader(maxMessageBytes)
    stream.on('error', () => undefined)
    this.#reading = this.#read()
  }

  async call<Reply>(method: string, parameters: VarlinkParameters = {}, { signal }: CallOptions = {}): Promise<Reply> {
    const replies = this.#send({ method, parameters, more: false, oneway: false, upgrade: false }, signal)
    return (await this.#next(method, replies)).parameters as Reply
  }

  async *stream<Reply>(
    method: string,
    parameters: VarlinkParameters = {},
    { signal }: CallOptions = {},
  ): AsyncGenerator<Reply, void, undefined> {
    const replies = this.#send({ method, parameters, more: true, oneway: false, upgrade: false }, signal)
    let isOver = false
    try {
      while (!isOver) {
        const reply = await this.#next(method, replies)
        isOver = !reply.continues
        yield reply.parameters as Reply
      }
    } catch (error) {
      isOver ||= error instanceof VarlinkErrorReply
      throw error
    } finally {
      if (!isOver) this.#end(new BootwrightError('INTERRUPTED', `The replies of ${method} were not taken to their end`))
    }
  }

  oneway(method: string, parameters: VarlinkParameters = {}): void {
    if (this.#over !== undefined) throw this.#over
    this.#stream.write(formatCall({ method, parameters, oneway: true }))
  }

  async upgrade(
    method: string,
    parameters: VarlinkParameters = {},
    { signal }: CallOptions = {},
  ): Promise<{ reply: VarlinkParameters; stream: Duplex }> {
    const replies = this.#send({ method, parameters, more: false, oneway: false, upgrade: true }, signal)
    const { parameters: reply } = await this.#next(method, replies)
    await this.#reading
    const rest = this.#reader.takeRest()
    if (rest.length > 0) this.#stream.unshift(rest)
    return { reply, stream: this.#stream }
  }

  async describe(name: string, options: CallOptions = {}): Promise<InterfaceDescription> {
    const method = 'org.varlink.service.GetInterfaceDescription'
    const { description } = await this.call<{ description?: unknown }>(method, { interface: name }, options)
    return parseInterface(typeof description === 'string' ? description : '')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end(new BootwrightError('INTERRUPTED', 'The Varlink connection was closed'))
    await this.#reading
  }

  #send(call: CallMessage, signal: AbortSignal | undefined): ReplyQueue {
    signal?.throwIfAborted()
    if (this.#over !== undefined) throw this.#over
    const giveUp = (): void => this.#end(signal?.reason instanceof Error ? signal.reason : new Error('aborted'))
    const replies = new ReplyQueue(() => signal?.removeEventListener('abort', giveUp))
    signal?.addEventListener('abort', giveUp, { once: true })
    this.#waiting.push({ call, replies })
    this.#stream.write(formatCall(call))
    return replies
  }

  async #next(method: string, replies: ReplyQueue): Promise<ReplyMessage> {
    const reply = await replies.take()
    if (reply.error !== undefined) throw new VarlinkErrorReply(reply.error, reply.parameters, method)
    return reply
  }

  async #read(): Promise<void> {
    try {
      for await (const chunk of this.#stream.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
        this.#reader.push(chunk)
        for (let message = this.#reader.next(); message !== undefined; message = this.#reader.next()) {
          if (await this.#receive(parseReply(message))) return
        }
      }
      this.#end(endedByService())
    } catch (error) {
      this.#end(error instanceof BootwrightError ? error : endedByService(error))
    }
  }

  /** Whether the connection speaks something else from here on. */
  async #receive(reply: ReplyMessage): Promise<boolean> {
    const [first] = this.#waiting
    if (first === undefined) throw new BootwrightError('MALFORMED_INPUT', 'The service answers what was not asked')
    if (reply.continues && !first.call.more) {
      throw new BootwrightError('MALFORMED_INPUT', `${first.call.method} has more than one reply, which was not wanted`)
    }
    if (!reply.continues) this.#waiting.shift()
    const isUpgrade = first.call.upgrade && reply.error === undefined
    if (isUpgrade) {
      this.#isUpgraded = true
      this.#over = new BootwrightError('INVALID_ARGUMENT', 'The connection speaks no Varlink any more')
    }
    await first.replies.put(reply)
    return isUpgrade
  }

  #end(reason: Error): void {
    this.#over ??= reason
    for (const { replies } of this.#waiting.splice(0)) replies.fail(reason)
    if (!this.#isUpgraded) this.#stream.destroy()
  }
}
