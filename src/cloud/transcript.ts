import { createHash } from 'node:crypto'
import type { HeaderLines, Peer } from './provider.ts'

/**
 * How a request ended: `answered` by the provider, changed or swallowed by a `fault`, `malformed` HTTP, `too-large`,
 * not complete in time (`timed-out`), `refused` because of too many connections, `abandoned` before there was an answer
 * (the client went away or the service ended), or `failed` in this program.
 */
export type Outcome =
  | 'answered'
  | 'fault'
  | 'malformed'
  | 'too-large'
  | 'timed-out'
  | 'refused'
  | 'abandoned'
  | 'failed'

/** Who sent a request. */
export interface AskingProcess {
  readonly pid: number
  /** As the kernel has it: at most 15 bytes. */
  readonly name: string
  /** The service or scope that it belongs to. */
  readonly unit?: string
}

/** One request and what was answered. Fields that were never received are empty. */
export interface Exchange {
  /** Counts from 1 in the order of answers. */
  readonly number: number
  /** Arrival of the request, milliseconds since 1970. */
  readonly atMs: number
  readonly peer: Peer
  /** The address that it was sent to. */
  readonly local: Peer
  /** Who in the guest sent it, where that is known. */
  readonly process?: AskingProcess
  readonly endpoint: string
  readonly method: string
  /** Path and query as on the wire. */
  readonly target: string
  /** In the order of the wire; secrets as `sha256:<12 digits>`. */
  readonly headers: HeaderLines
  readonly requestBytes: number
  readonly outcome: Outcome
  /** Undefined when no status line was sent. */
  readonly status: number | undefined
  /** Length of the body that was meant to be sent. */
  readonly responseBytes: number
  /** The same short digest as for secret headers: a token can be followed from its issue to its use. */
  readonly responseDigest: string | undefined
  readonly hopLimit?: number
  /** Kinds of the faults that were applied. */
  readonly faults: readonly string[]
  /** Why, for outcomes other than `answered` and `fault`. */
  readonly reason?: string
}

const MAX_EXCHANGES = 100_000

/** Every exchange of a metadata service, oldest first. Bounded: the oldest are dropped, and counted. */
export class Transcript implements AsyncIterable<Exchange> {
  readonly #exchanges: Exchange[] = []
  readonly #listeners = new Set<(exchange: Exchange | undefined) => void>()
  readonly #capacity: number
  #dropped = 0
  #isClosed = false

  constructor(capacity: number = MAX_EXCHANGES) {
    this.#capacity = capacity
  }

  get exchanges(): readonly Exchange[] {
    return this.#exchanges
  }

  /** How many were dropped to keep the transcript bounded. */
  get dropped(): number {
    return this.#dropped
  }

  /** Appends and numbers an exchange, then tells the subscribers. */
  record(facts: Omit<Exchange, 'number'>): void {
    const exchange: Exchange = { number: this.#dropped + this.#exchanges.length + 1, ...facts }
    this.#exchanges.push(exchange)
    if (this.#exchanges.length > this.#capacity) {
      this.#exchanges.shift()
      this.#dropped += 1
    }
    for (const listener of [...this.#listeners]) listener(exchange)
  }

  /** Calls the function for each exchange from now on, until the result is disposed of. */
  subscribe(onExchange: (exchange: Exchange) => void): Disposable {
    const listener = (exchange: Exchange | undefined): void => {
      if (exchange !== undefined) onExchange(exchange)
    }
    this.#listeners.add(listener)
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) }
  }

  /** All exchanges so far, then new ones as they come, until the service ends. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Exchange, void, void> {
    let next = 1
    for (;;) {
      // Numbers, not positions: the front of the list may be dropped meanwhile.
      next = Math.max(next, this.#dropped + 1)
      const exchange = this.#exchanges[next - this.#dropped - 1]
      if (exchange !== undefined) {
        next = exchange.number + 1
        yield exchange
      } else if (this.#isClosed) {
        return
      } else {
        await this.#somethingNew()
      }
    }
  }

  /** No more will come. */
  close(): void {
    this.#isClosed = true
    for (const listener of [...this.#listeners]) listener(undefined)
    this.#listeners.clear()
  }

  /** One JSON object a line. */
  toJsonLines(): string {
    return this.#exchanges.map((exchange) => `${JSON.stringify(exchange)}\n`).join('')
  }

  #somethingNew(): Promise<void> {
    return new Promise((resolve) => {
      const listener = (): void => {
        this.#listeners.delete(listener)
        resolve()
      }
      this.#listeners.add(listener)
    })
  }
}

/** Recognisable, useless to anyone who wants the value. */
export function shortDigest(value: string | Uint8Array): string {
  return `sha256:${createHash('sha256').update(value).digest('hex').slice(0, 12)}`
}

/** Header lines with the values of secret ones (names in lower case) replaced by their digest. */
export function withoutSecrets(headers: HeaderLines, secretHeaders: readonly string[]): HeaderLines {
  return headers.map(([name, value]) => [name, secretHeaders.includes(name.toLowerCase()) ? shortDigest(value) : value])
}
