import { malformed } from '../../formats/index.ts'

export interface HttpResponse {
  readonly status: number
  readonly body: Uint8Array
  /** Where it says that the answer is. */
  readonly location?: string
}

/** Status line and headers of an answer, those of its 1xx included. */
const MAX_HEAD_BYTES = 64 * 1024
/** `100 Continue` and the like, in front of the answer. */
const MAX_INTERIM = 8
/** Length of a chunk in hexadecimal, and extensions that say nothing to us. */
const MAX_CHUNK_LINE = 1024

type State =
  | { readonly at: 'head' | 'chunk line' | 'trailer' | 'until close' | 'done' }
  | { readonly at: 'length' | 'chunk'; readonly left: number }

/**
 * Reads one answer of an HTTP server (RFC 9112), piece by piece. Rejects with `MALFORMED_INPUT` what is none, and with
 * {@link BodyTooLarge} a body that is longer than wanted, before all of it has come.
 */
export class ResponseReader {
  readonly #maxBody: number
  readonly #body: Uint8Array[] = []
  #state: State = { at: 'head' }
  #rest = Buffer.alloc(0)
  #status = 0
  #location: string | undefined
  #bodyBytes = 0
  #headBytes = 0
  #interim = 0
  #offset = 0

  constructor(maxBodyBytes: number) {
    this.#maxBody = maxBodyBytes
  }

  /** The answer, when these bytes end it. What comes behind it is nobody's. */
  push(chunk: Uint8Array): HttpResponse | undefined {
    this.#rest = Buffer.concat([this.#rest, chunk])
    while (this.#step()) {
      // Another piece was whole.
    }
    return this.#state.at === 'done' ? this.#answer() : undefined
  }

  /** The answer, when the end of the connection ends it. */
  end(): HttpResponse {
    if (this.#state.at !== 'until close') this.#refuse(this.#state.at, 'ends before the answer does')
    return this.#answer()
  }

  /** Whether anything has come at all. */
  get hasBegun(): boolean {
    return this.#offset + this.#rest.length > 0
  }

  #step(): boolean {
    const { at } = this.#state
    if (at === 'head') return this.#readHead()
    if (at === 'length' || at === 'chunk') return this.#readBody(this.#state)
    if (at === 'until close') {
      this.#keep(this.#take(this.#rest.length))
      return false
    }
    if (at === 'chunk line') return this.#readChunkLine()
    return at === 'trailer' && this.#readTrailer()
  }

  #readHead(): boolean {
    const end = this.#rest.indexOf('\r\n\r\n')
    if (this.#headBytes + (end < 0 ? this.#rest.length : end) > MAX_HEAD_BYTES) {
      this.#refuse('head', `is longer than ${MAX_HEAD_BYTES} bytes`)
    }
    // What cannot become a status line is told before its end: somebody else's protocol may never end.
    if (!couldBeStatusLine(this.#rest)) this.#refuse('status line', 'is none')
    if (end < 0) return false
    const [statusLine = '', ...lines] = this.#take(end + 4)
      .toString('latin1')
      .trimEnd()
      .split('\r\n')
    this.#headBytes += end + 4
    const status = Number(/^HTTP\/1\.[01] (\d{3})(?: |$)/.exec(statusLine)?.[1])
    if (!Number.isInteger(status)) this.#refuse('status line', `is ${JSON.stringify(statusLine.slice(0, 80))}`)
    if (status >= 100 && status < 200 && status !== 101) {
      if (++this.#interim > MAX_INTERIM)
        this.#refuse('status line', `is one of more than ${MAX_INTERIM} that say nothing`)
      return true
    }
    this.#status = status
    const headers = this.#parseHeaders(lines)
    this.#location = headers.get('location')?.[0]
    this.#state = this.#bodyState(status, headers)
    return true
  }

  #parseHeaders(lines: readonly string[]): ReadonlyMap<string, readonly string[]> {
    const headers = new Map<string, string[]>()
    for (const line of lines) {
      const [, name, value = ''] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\0\r\n]*)$/.exec(line) ?? []
      if (name === undefined) this.#refuse('header', `is ${JSON.stringify(line.slice(0, 80))}`)
      const key = String(name).toLowerCase()
      headers.set(key, [...(headers.get(key) ?? []), value.trim()])
    }
    return headers
  }

  #bodyState(status: number, headers: ReadonlyMap<string, readonly string[]>): State {
    if (status === 204 || status === 304) return { at: 'done' }
    const codings = headers.get('transfer-encoding')
    const lengths = [...new Set(headers.get('content-length') ?? [])]
    if (codings !== undefined) {
      if (codings.join().toLowerCase() !== 'chunked') this.#refuse('Transfer-Encoding', `is ${codings.join()}`)
      if (lengths.length > 0) this.#refuse('Content-Length', 'is there although the body comes in chunks')
      return { at: 'chunk line' }
    }
    const [length] = lengths
    if (length === undefined) return { at: 'until close' }
    if (lengths.length > 1 || !/^\d{1,15}$/.test(length)) this.#refuse('Content-Length', `is ${lengths.join()}`)
    if (Number(length) > this.#maxBody) throw new BodyTooLarge(this.#status, this.#maxBody)
    return length === '0' ? { at: 'done' } : { at: 'length', left: Number(length) }
  }

  #readBody({ at, left }: { readonly at: 'length' | 'chunk'; readonly left: number }): boolean {
    const part = this.#take(Math.min(left, this.#rest.length))
    this.#keep(part)
    if (part.length < left) {
      this.#state = { at, left: left - part.length }
      return false
    }
    if (at === 'length') {
      this.#state = { at: 'done' }
      return false
    }
    if (this.#rest.length < 2) {
      this.#state = { at, left: 0 }
      return false
    }
    if (this.#take(2).toString('latin1') !== '\r\n') this.#refuse('chunk', 'does not end where it says')
    this.#state = { at: 'chunk line' }
    return true
  }

  #readChunkLine(): boolean {
    const line = this.#readLine('chunk line')
    if (line === undefined) return false
    const digits = /^([0-9a-f]{1,8})[ \t]*(?:;.*)?$/i.exec(line)?.[1]
    if (digits === undefined) return this.#refuse('chunk line', `is ${JSON.stringify(line.slice(0, 80))}`)
    const left = Number.parseInt(digits, 16)
    if (this.#bodyBytes + left > this.#maxBody) throw new BodyTooLarge(this.#status, this.#maxBody)
    this.#state = left === 0 ? { at: 'trailer' } : { at: 'chunk', left }
    return true
  }

  #readTrailer(): boolean {
    const line = this.#readLine('trailer')
    if (line === undefined) return false
    this.#headBytes += line.length + 2
    if (this.#headBytes > MAX_HEAD_BYTES) this.#refuse('trailer', `is longer than ${MAX_HEAD_BYTES} bytes`)
    if (line === '') this.#state = { at: 'done' }
    return line !== ''
  }

  #readLine(field: string): string | undefined {
    const end = this.#rest.indexOf('\r\n')
    if ((end < 0 ? this.#rest.length : end) > MAX_CHUNK_LINE)
      this.#refuse(field, `is longer than ${MAX_CHUNK_LINE} bytes`)
    return end < 0
      ? undefined
      : this.#take(end + 2)
          .toString('latin1')
          .slice(0, -2)
  }

  #keep(part: Uint8Array): void {
    this.#bodyBytes += part.length
    if (this.#bodyBytes > this.#maxBody) throw new BodyTooLarge(this.#status, this.#maxBody)
    if (part.length > 0) this.#body.push(part)
  }

  #take(bytes: number): Buffer {
    const taken = this.#rest.subarray(0, bytes)
    this.#rest = this.#rest.subarray(bytes)
    this.#offset += bytes
    return taken
  }

  #answer(): HttpResponse {
    const answer = { status: this.#status, body: Buffer.concat(this.#body) }
    return this.#location === undefined ? answer : { ...answer, location: this.#location }
  }

  #refuse(field: string, problem: string): never {
    throw malformed({ what: 'HTTP answer', field, offset: this.#offset }, `${field} ${problem}`)
  }
}

/** An answer with more in it than anybody wants. */
export class BodyTooLarge extends Error {
  override readonly name = 'BodyTooLarge'
  readonly status: number

  constructor(status: number, maxBytes: number) {
    super(`The body of the answer is longer than ${maxBytes} bytes`)
    this.status = status
  }
}

function couldBeStatusLine(bytes: Buffer): boolean {
  const begin = bytes.subarray(0, 7).toString('latin1')
  return 'HTTP/1.'.startsWith(begin)
}
