import type { Socket } from 'node:net'

/** Bounds that keep a hostile or broken client from holding the service up. */
export interface ServiceLimits {
  /** Request line and headers together. */
  readonly maxHeaderBytes: number
  readonly maxBodyBytes: number
  readonly maxConnections: number
  /** A connection without a request in progress must bring a whole one within this time, or is closed. */
  readonly requestMs: number
}

export const DEFAULT_LIMITS: ServiceLimits = {
  maxHeaderBytes: 16_384,
  maxBodyBytes: 65_536,
  maxConnections: 1_024,
  requestMs: 15_000,
}

interface Tracked {
  timer: NodeJS.Timeout | undefined
  /** Whole requests whose answer is not over yet; more than one when a client pipelines. */
  inProgress: number
  /** Bytes the socket had read when its last request was complete. */
  bytesRead: number
}

/**
 * The open connections of a service and their deadlines. HTTP servers of Node keep deadlines only for sockets that
 * they accepted themselves, and ours come from servers that another process made.
 */
export class Connections {
  readonly #open = new Map<Socket, Tracked>()
  readonly #limits: ServiceLimits
  readonly #onTimeout: (socket: Socket) => void

  /** The callback hears of connections that were closed in the middle of a request, not of idle ones. */
  constructor(limits: ServiceLimits, onTimeout: (socket: Socket) => void) {
    this.#limits = limits
    this.#onTimeout = onTimeout
  }

  get isFull(): boolean {
    return this.#open.size >= this.#limits.maxConnections
  }

  add(socket: Socket): void {
    this.#open.set(socket, { timer: undefined, inProgress: 0, bytesRead: 0 })
    socket.once('close', () => {
      clearTimeout(this.#open.get(socket)?.timer)
      this.#open.delete(socket)
    })
    // Without a listener a reset by the peer would end the program.
    socket.on('error', () => socket.destroy())
    this.#expectRequest(socket)
  }

  /** A whole request has come: its answer may take as long as it wants. */
  requestComplete(socket: Socket): void {
    const tracked = this.#open.get(socket)
    if (tracked === undefined) return
    clearTimeout(tracked.timer)
    tracked.inProgress += 1
    tracked.bytesRead = socket.bytesRead
  }

  /** The answer to a whole request is over, and the deadline of the next one starts. */
  answerOver(socket: Socket): void {
    const tracked = this.#open.get(socket)
    if (tracked === undefined) return
    tracked.inProgress -= 1
    if (tracked.inProgress === 0) this.#expectRequest(socket)
  }

  destroyAll(): void {
    for (const socket of this.#open.keys()) socket.destroy()
  }

  #expectRequest(socket: Socket): void {
    const tracked = this.#open.get(socket)
    if (tracked === undefined) return
    tracked.timer = setTimeout(() => {
      if (socket.bytesRead > tracked.bytesRead) this.#onTimeout(socket)
      socket.destroy()
    }, this.#limits.requestMs)
    tracked.timer.unref()
  }
}
