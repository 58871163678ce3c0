import type { ServerResponse } from 'node:http'
import { type Fault, GARBAGE } from './faults.ts'
import type { HeaderLines, MetadataResponse } from './provider.ts'

/** How often a piece of a slow body goes out, if that is at least a byte. */
const PIECE_MS = 100
/** What goes out at once of a body that never ends. */
const ENDLESS_CHUNK_BYTES = 65_536
/** Longer timers fire at once. */
const MAX_INTERVAL_MS = 0x7fff_ffff

/** What is about to go out: facts for the transcript, and the act itself. */
export interface Sent {
  /** Undefined when no status line goes out. */
  readonly status: number | undefined
  readonly body: Uint8Array
  go(): void
}

/** Turns an answer and the faults that change it into bytes on a socket. */
export function send(answer: MetadataResponse, faults: readonly Fault[], response: ServerResponse, date: Date): Sent {
  const fault = faults.find(({ kind }) => kind !== 'latency')
  const nothing = new Uint8Array()
  switch (fault?.kind) {
    case 'silence':
      return { status: undefined, body: nothing, go: () => undefined }
    case 'reset':
      return { status: undefined, body: nothing, go: () => response.socket?.resetAndDestroy() }
    case 'garbage':
      return { status: undefined, body: GARBAGE, go: () => response.socket?.end(GARBAGE) }
    case 'truncated-body':
      return { ...answer, go: () => truncate(answer, response, date) }
    case 'status': {
      const headers = [['Content-Type', 'text/plain'] as const, ...(fault.headers ?? [])]
      const changed: MetadataResponse = { status: fault.status, headers, body: bytes(fault.body ?? '') }
      return { ...changed, go: () => whole(changed, response, date) }
    }
    case 'moved': {
      const changed: MetadataResponse = {
        status: fault.status ?? 308,
        headers: [['Location', fault.location]],
        body: nothing,
      }
      return { ...changed, go: () => whole(changed, response, date) }
    }
    case 'slow-body':
      return { ...answer, go: () => trickle(answer, fault.bytesPerSecond, response, date) }
    case 'endless-body':
      return { ...answer, go: () => endless(answer, fault.piece ?? 'bootwright\n', response, date) }
    case 'wrong-clock': {
      const wrong = new Date(date.getTime() + fault.offsetSeconds * 1_000)
      return { ...answer, go: () => whole(answer, response, wrong) }
    }
    case 'wrong-value': {
      const changed = { ...answer, body: bytes(fault.value) }
      return { ...changed, go: () => whole(changed, response, date) }
    }
    case 'empty-error-body': {
      const changed = { ...answer, body: nothing }
      return { ...changed, go: () => whole(changed, response, date) }
    }
    default:
      return { ...answer, go: () => whole(answer, response, date) }
  }
}

function whole({ status, headers, body }: MetadataResponse, response: ServerResponse, date: Date): void {
  response.writeHead(status, headerList(headers, body.length, status, date))
  response.end(status === 204 || status === 304 ? undefined : body)
}

/** Announces at least one byte more than it sends, also for an empty body. */
function truncate({ status, headers, body }: MetadataResponse, response: ServerResponse, date: Date): void {
  response.writeHead(status, headerList(headers, Math.max(1, body.length), status, date))
  response.flushHeaders()
  const { socket } = response
  const half = body.subarray(0, body.length >> 1)
  if (half.length === 0) socket?.end()
  else response.write(half, () => socket?.end())
}

/** Ends when the body is over, or when the client or the service goes away. */
function trickle(
  { status, headers, body }: MetadataResponse,
  bytesPerSecond: number,
  response: ServerResponse,
  date: Date,
): void {
  response.writeHead(status, headerList(headers, body.length, status, date))
  response.flushHeaders()
  const piece = Math.max(1, Math.round((bytesPerSecond * PIECE_MS) / 1_000))
  const everyMs = (piece * 1_000) / bytesPerSecond
  let sent = 0
  const next = (): void => {
    response.write(body.subarray(sent, sent + piece))
    sent += piece
    if (sent < body.length) return
    clearInterval(timer)
    response.end()
  }
  const timer = setInterval(next, Math.min(everyMs, MAX_INTERVAL_MS))
  response.once('close', () => clearInterval(timer))
}

/** The true body comes first. Ends when the client or the service goes away; what is not read does not heap up. */
function endless(
  { status, headers, body }: MetadataResponse,
  piece: string,
  response: ServerResponse,
  date: Date,
): void {
  response.writeHead(status, [...headers, ['Date', date.toUTCString()]].flat())
  response.flushHeaders()
  const chunk = Buffer.from(piece.repeat(Math.ceil(ENDLESS_CHUNK_BYTES / piece.length)))
  const more = (): void => {
    while (!response.destroyed && response.write(chunk));
  }
  response.on('drain', more)
  response.write(body.length === 0 ? chunk : body)
  more()
}

/** The date is the service's, not the host's, so that a clock can be wrong on purpose. */
function headerList(headers: HeaderLines, length: number, status: number, date: Date): string[] {
  const hasBody = status !== 204 && status !== 304
  return [...headers, ...(hasBody ? [['Content-Length', `${length}`]] : []), ['Date', date.toUTCString()]].flat()
}

function bytes(value: string | Uint8Array): Uint8Array {
  return typeof value === 'string' ? Buffer.from(value) : value
}
