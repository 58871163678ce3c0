import { createServer, type Server as HttpServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Server, Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { BootwrightError } from '../system/index.ts'
import { Connections, DEFAULT_LIMITS, type ServiceLimits } from './connections.ts'
import { changesAnswer, type Fault, FaultPlan, type FaultRule, replacesAnswer } from './faults.ts'
import type { Instance, LiveInstance } from './instance.ts'
import { checkTarget, closeServer, isTarget, type Listener, listenOn } from './listeners.ts'
import type { MetadataRequest, MetadataResponse, Peer, Provider, Setting } from './provider.ts'
import { addressOf, type Origin, originOf, readBody, toRequest } from './request.ts'
import { type Sent, send } from './send.ts'
import { makeSigner, type Signer } from './signer.ts'
import { type AskingProcess, type Exchange, shortDigest, Transcript, withoutSecrets } from './transcript.ts'

export interface ServiceOptions {
  /** Milliseconds since 1970; the system's clock when absent. */
  readonly clock?: () => number
  readonly faults?: readonly FaultRule[]
  readonly limits?: Partial<ServiceLimits>
  /** Who signs documents; without, keys that are made when the first one is asked for. */
  readonly signer?: Signer
  /** See {@link Setting.hasHwdbPaths}. */
  readonly hasHwdbPaths?: boolean
}

/** A metadata service that answers. Leaving the scope closes its listeners and cuts every connection. */
export interface MetadataService extends AsyncDisposable {
  /** Where it listens, in the order of the listeners. */
  readonly addresses: readonly Peer[]
  readonly transcript: Transcript
  /** Faults can be added and taken away while it runs. */
  readonly faults: FaultPlan
  /** Who signs its documents; its keys can be rotated. */
  readonly signer: Signer
  /** Asked for each request before it is answered, for the transcript: once the answer is there, the asker may be gone. */
  whoAsks: ((peer: Peer) => Promise<AskingProcess | undefined>) | undefined
}

/**
 * Serves the metadata of an instance over HTTP.
 *
 * Servers that are handed over get their connection listener before this function first waits, so none that comes
 * after the hand-over is lost. Rejects with `INVALID_ARGUMENT` for an address that is not loopback or an instance of
 * another cloud, `HOST_UNSUITABLE` when it cannot listen; then nothing is left open.
 */
export async function serveMetadata<I extends Instance>(
  provider: Provider<I>,
  live: LiveInstance<I>,
  listeners: readonly Listener[],
  options: ServiceOptions = {},
): Promise<MetadataService> {
  const service = new Service(provider, live, options)
  const opened: { server: Server; at: number }[] = []
  try {
    checkInput(provider, live, listeners)
    for (const [at, listener] of listeners.entries()) {
      if (!isTarget(listener)) opened.push({ server: service.attach(listener), at })
    }
    for (const [at, listener] of listeners.entries()) {
      if (isTarget(listener)) opened.push({ server: service.attach(await listenOn(listener), listener.endpoint), at })
    }
  } catch (error) {
    for (const listener of listeners) if (!isTarget(listener)) service.own(listener)
    await service[Symbol.asyncDispose]()
    throw error
  }
  service.addresses = opened.sort((a, b) => a.at - b.at).map(({ server }) => addressOf(server))
  return service
}

class Service<I extends Instance> implements MetadataService {
  addresses: readonly Peer[] = []
  readonly transcript = new Transcript()
  readonly faults: FaultPlan
  readonly signer: Signer
  whoAsks: MetadataService['whoAsks']
  readonly #provider: Provider<I>
  readonly #live: LiveInstance<I>
  readonly #clock: () => number
  readonly #limits: ServiceLimits
  readonly #setting: Omit<Setting, 'held'>
  readonly #http: HttpServer
  readonly #connections: Connections
  readonly #servers = new Set<Server>()
  readonly #origins = new WeakMap<Socket, Origin>()
  readonly #timedOut = new WeakSet<Socket>()
  readonly #inFlight = new Set<Promise<void>>()
  readonly #askers = new WeakMap<IncomingMessage, AskingProcess>()
  readonly #ending = new AbortController()

  constructor(provider: Provider<I>, live: LiveInstance<I>, options: ServiceOptions) {
    this.#provider = provider
    this.#live = live
    this.#clock = options.clock ?? Date.now
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits }
    this.signer = options.signer ?? makeSigner()
    this.#setting = { signer: this.signer, hasHwdbPaths: options.hasHwdbPaths ?? false }
    this.faults = new FaultPlan(options.faults)
    this.#connections = new Connections(this.#limits, (socket) => {
      this.#timedOut.add(socket)
      this.#recordIncomplete(socket, 'timed-out', `no whole request within ${this.#limits.requestMs} ms`)
    })
    this.#http = createServer({ maxHeaderSize: this.#limits.maxHeaderBytes })
    this.#http.on('request', (request: IncomingMessage, response: ServerResponse) => {
      const serving = this.#serve(request, response)
      this.#inFlight.add(serving)
      void serving.finally(() => this.#inFlight.delete(serving))
    })
    this.#http.on('clientError', (error: NodeJS.ErrnoException, socket) => this.#refuse(error, socket as Socket))
  }

  /** Takes connections from a server that listens; without a name, the local address tells the endpoint. */
  attach(server: Server, endpoint?: string): Server {
    this.own(server)
    server.on('connection', (socket: Socket) => {
      this.#origins.set(socket, originOf(socket, this.#provider.endpoints, endpoint))
      if (this.#ending.signal.aborted) {
        socket.destroy()
        return
      }
      if (this.#connections.isFull) {
        this.#recordIncomplete(socket, 'refused', `more than ${this.#limits.maxConnections} connections`)
        socket.destroy()
        return
      }
      this.#connections.add(socket)
      this.#http.emit('connection', socket)
    })
    return server
  }

  own(server: Server): void {
    this.#servers.add(server)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort()
    this.#connections.destroyAll()
    // The transcript is whole only when each request has come to its end.
    await Promise.all([...[...this.#servers].map(closeServer), ...this.#inFlight])
    this.transcript.close()
  }

  /** One request from its first header to its record. Never rejects. */
  async #serve(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const { socket } = message
    const arrivedAtMs = this.#clock()
    // The peer may go away in the middle of anything; that is no failure of ours.
    response.on('error', () => socket.destroy())
    try {
      const body = await readBody(message, this.#limits.maxBodyBytes)
      this.#connections.requestComplete(socket)
      const asker = await this.whoAsks?.(this.#origin(socket).peer).catch(() => undefined)
      if (asker !== undefined) this.#askers.set(message, asker)
      response.once('close', () => this.#connections.answerOver(socket))
      const request = toRequest(message, body ?? new Uint8Array(), this.#origin(socket), arrivedAtMs)
      if (body === undefined) {
        const reason = `the body exceeds ${this.#limits.maxBodyBytes} bytes`
        this.#answer(request, message, response, statusOnly(413), [], { outcome: 'too-large', reason })
        return
      }
      await this.#respond(request, message, response)
    } catch (error) {
      if (this.#timedOut.has(socket)) return
      const request = toRequest(message, new Uint8Array(), this.#origin(socket), arrivedAtMs)
      const reason = error instanceof Error ? error.message : String(error)
      if (this.#ending.signal.aborted || socket.destroyed) {
        // There is nobody left to answer.
        this.#record(request, message, NOTHING_SENT, [], { outcome: 'abandoned', reason })
      } else {
        this.#answer(request, message, response, statusOnly(500), [], { outcome: 'failed', reason })
      }
    }
  }

  async #respond(request: MetadataRequest, message: IncomingMessage, response: ServerResponse): Promise<void> {
    const planned = this.faults.take(request.method, request.path, request.arrivedAtMs)
    for (const fault of planned) {
      if (fault.kind === 'latency') await this.#pause(fault.delayMs, message.socket)
    }
    const answer = planned.some(replacesAnswer) ? statusOnly(503) : await this.#ask(request, message.socket)
    const faults = planned.filter((fault) => changesAnswer(fault, answer.status))
    this.#answer(request, message, response, answer, faults, { outcome: faults.length > 0 ? 'fault' : 'answered' })
  }

  /** The provider's answer, after as many changes of the instance as it wants to wait for. */
  async #ask(request: MetadataRequest, socket: Socket): Promise<MetadataResponse<I>> {
    let held: string | undefined
    for (;;) {
      const nowMs = this.#clock()
      const answer = this.#provider.answer(request, this.#live.current, nowMs, { ...this.#setting, held })
      if (!('holdUntilMs' in answer)) {
        if (answer.next !== undefined) this.#live.replace(answer.next)
        return answer
      }
      held = answer.remember
      await this.#pause(Math.max(1, answer.holdUntilMs - nowMs), socket, (signal) => this.#live.changed(signal))
    }
  }

  /** Waits for the time or the event, whichever is first; rejects when the client goes away or the service ends. */
  async #pause(ms: number, socket: Socket, event?: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const over = new AbortController()
    const signal = AbortSignal.any([over.signal, this.#ending.signal])
    const gone = (): void => over.abort()
    socket.once('close', gone)
    try {
      const time = sleep(ms, undefined, { signal }).catch(() => undefined)
      await Promise.race(event === undefined ? [time] : [time, event(signal)])
    } finally {
      socket.off('close', gone)
      over.abort()
    }
    this.#ending.signal.throwIfAborted()
    if (socket.destroyed) throw new Error('The client went away before the answer')
  }

  /** Sends and records. The record comes first, so that a client that has its answer also finds it there. */
  #answer(
    request: MetadataRequest,
    message: IncomingMessage,
    response: ServerResponse,
    answer: MetadataResponse<I>,
    faults: readonly Fault[],
    ending: Pick<Exchange, 'outcome' | 'reason' | 'hopLimit'>,
  ): void {
    const sent = send(answer, faults, response, new Date(this.#clock()))
    const hopLimit = answer.hopLimit === undefined ? {} : { hopLimit: answer.hopLimit }
    this.#record(request, message, sent, faults, { ...ending, ...hopLimit })
    sent.go()
  }

  #record(
    request: MetadataRequest,
    message: IncomingMessage,
    sent: Pick<Sent, 'status' | 'body'>,
    faults: readonly Fault[],
    ending: Pick<Exchange, 'outcome' | 'reason' | 'hopLimit'>,
  ): void {
    const process = this.#askers.get(message)
    this.transcript.record({
      atMs: request.arrivedAtMs,
      peer: request.peer,
      local: request.local,
      ...(process === undefined ? {} : { process }),
      endpoint: request.endpoint,
      method: request.method,
      target: message.url ?? '',
      headers: withoutSecrets(request.headers, this.#provider.secretHeaders),
      requestBytes: request.body.length,
      status: sent.status,
      responseBytes: sent.body.length,
      responseDigest: sent.status === undefined ? undefined : shortDigest(sent.body),
      faults: faults.map(({ kind }) => kind),
      ...ending,
    })
  }

  /** HTTP that the parser refuses: a 400 or 431, and the end of the connection. */
  #refuse(error: NodeJS.ErrnoException, socket: Socket): void {
    if (error.code === 'ECONNRESET' || !socket.writable) {
      socket.destroy()
      return
    }
    const isTooLarge = error.code === 'HPE_HEADER_OVERFLOW'
    const status = isTooLarge ? '431 Request Header Fields Too Large' : '400 Bad Request'
    this.#recordIncomplete(socket, isTooLarge ? 'too-large' : 'malformed', error.message, Number.parseInt(status, 10))
    socket.end(`HTTP/1.1 ${status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`, () => socket.destroy())
  }

  #recordIncomplete(socket: Socket, outcome: Exchange['outcome'], reason: string, status?: number): void {
    this.transcript.record({
      atMs: this.#clock(),
      ...this.#origin(socket),
      method: '',
      target: '',
      headers: [],
      requestBytes: 0,
      outcome,
      status,
      responseBytes: 0,
      responseDigest: undefined,
      faults: [],
      reason,
    })
  }

  #origin(socket: Socket): Origin {
    return this.#origins.get(socket) ?? originOf(socket, this.#provider.endpoints)
  }
}

function checkInput<I extends Instance>(
  provider: Provider<I>,
  live: LiveInstance<I>,
  listeners: readonly Listener[],
): void {
  if (live.current.cloud !== provider.name) {
    throw new BootwrightError(
      'INVALID_ARGUMENT',
      `${provider.title} serves its own instances only, found one of "${live.current.cloud}"`,
      { hint: `Make the instance with the provider "${provider.name}".` },
    )
  }
  for (const listener of listeners) if (isTarget(listener)) checkTarget(listener, provider.endpoints)
}

const NOTHING_SENT: Pick<Sent, 'status' | 'body'> = { status: undefined, body: new Uint8Array() }

function statusOnly(status: number): MetadataResponse<never> {
  return { status, headers: [['Connection', 'close']], body: new Uint8Array() }
}
