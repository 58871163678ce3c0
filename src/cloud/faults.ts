import { validateHeaderName, validateHeaderValue } from 'node:http'
import { BootwrightError } from '../system/index.ts'
import type { HeaderLines } from './provider.ts'

/** One way for a metadata service to be wrong. */
export type Fault =
  /** Answers with this status, whatever was asked. */
  | {
      readonly kind: 'status'
      readonly status: number
      readonly body?: string | Uint8Array
      /** Besides the content type: `Retry-After` of a 429, for example. */
      readonly headers?: HeaderLines
    }
  /** Says that it is somewhere else now: a redirect (308 when absent) that a client may follow or not. */
  | { readonly kind: 'moved'; readonly location: string; readonly status?: 301 | 302 | 303 | 307 | 308 }
  /** Sends the body in small pieces, so fast on the whole. */
  | { readonly kind: 'slow-body'; readonly bytesPerSecond: number }
  /** Sends a body that never ends, without a word on its length, as fast as the client reads; text when absent. */
  | { readonly kind: 'endless-body'; readonly piece?: string }
  /** Says that it is another time, in `Date`; every date in the body stays. */
  | { readonly kind: 'wrong-clock'; readonly offsetSeconds: number }
  /** Takes the request and never says anything; the connection stays open. */
  | { readonly kind: 'silence' }
  /** Answers later; goes together with the next fault that matches. */
  | { readonly kind: 'latency'; readonly delayMs: number }
  /** Sends bytes that are not HTTP and closes. */
  | { readonly kind: 'garbage' }
  /** Announces the whole body, sends half of it and closes. */
  | { readonly kind: 'truncated-body' }
  /** Sends something else in place of a value; errors stay errors. */
  | { readonly kind: 'wrong-value'; readonly value: string | Uint8Array }
  /** Errors without their document: systemd 262 misreads a 404 or 401 that has a body. */
  | { readonly kind: 'empty-error-body' }
  /** Resets the connection instead of answering. */
  | { readonly kind: 'reset' }

/** A fault and the requests it befalls. */
export interface FaultRule {
  /** Pattern over the path without its query: `*` is anything but a slash, `**` anything. */
  readonly path: string
  /** Any method when absent. */
  readonly method?: string
  /** How many matching requests are let through first. */
  readonly after?: number
  /** How many matching requests it befalls from then on; all when absent. */
  readonly times?: number
  /** A rate limit: it befalls only what is more than so many matching requests within so many seconds. */
  readonly beyond?: { readonly requests: number; readonly seconds: number }
  readonly fault: Fault
}

/** Longer timers fire at once. */
const MAX_DELAY_MS = 0x7fff_ffff
/** A century: HTTP writes years with four digits. */
const MAX_OFFSET_SECONDS = 3_155_760_000
/** So many arrivals are kept of each limit. */
const MAX_REQUESTS = 10_000
/** Faster is not slow. */
const MAX_BYTES_PER_SECOND = 1_000_000

interface ActiveRule {
  readonly rule: FaultRule
  readonly pattern: RegExp
  seen: number
  /** When those were let through that count for its limit, in milliseconds. */
  passed: readonly number[]
}

/** The faults of one service. Rules are tried in order; the first that is no latency decides. */
export class FaultPlan {
  readonly #rules = new Set<ActiveRule>()

  constructor(rules: readonly FaultRule[] = []) {
    for (const rule of rules) this.add(rule)
  }

  /** Adds a rule behind the others; disposing of the result takes it away. Rejects with `INVALID_ARGUMENT`. */
  add(rule: FaultRule): Disposable {
    check(rule)
    const active: ActiveRule = { rule, pattern: globPattern(rule.path), seen: 0, passed: [] }
    this.#rules.add(active)
    return { [Symbol.dispose]: () => void this.#rules.delete(active) }
  }

  /** The faults that befall a request that comes now, and counts it against their rules. */
  take(method: string, path: string, nowMs: number): readonly Fault[] {
    const faults: Fault[] = []
    for (const active of this.#rules) {
      const { rule, pattern } = active
      if ((rule.method ?? method) !== method || !pattern.test(path)) continue
      if (isWithin(active, nowMs)) continue
      active.seen += 1
      const after = rule.after ?? 0
      if (active.seen <= after || active.seen > after + (rule.times ?? Number.POSITIVE_INFINITY)) continue
      faults.push(rule.fault)
      if (rule.fault.kind !== 'latency') break
    }
    return faults
  }
}

/** Whether a limit lets one more through, which then counts; what it refuses does not. */
function isWithin(active: ActiveRule, nowMs: number): boolean {
  const { beyond } = active.rule
  if (beyond === undefined) return false
  const begin = nowMs - beyond.seconds * 1000
  const recent = active.passed.filter((at) => at > begin)
  const isOneMore = recent.length < beyond.requests
  active.passed = isOneMore ? [...recent, nowMs] : recent
  return isOneMore
}

/** Whether nothing of the true answer is left, so that the provider need not be asked at all. */
export function replacesAnswer({ kind }: Fault): boolean {
  return kind === 'status' || kind === 'moved' || kind === 'silence' || kind === 'garbage' || kind === 'reset'
}

/** Whether a fault changes an answer of this status; the others leave it alone and are not reported. */
export function changesAnswer({ kind }: Fault, status: number): boolean {
  if (kind === 'wrong-value') return status === 200
  return kind !== 'empty-error-body' || status >= 400
}

/** Deterministic bytes that no HTTP parser takes for a status line. */
export const GARBAGE: Uint8Array = Uint8Array.from({ length: 512 }, (_, index) => (index * 167 + 129) & 0xff)

function globPattern(glob: string): RegExp {
  const source = glob.split(/(\*+)/).map((part) => {
    if (part === '*') return '[^/]*'
    return part.startsWith('**') ? '.*' : part.replaceAll(/[.+?^${}()|[\]\\]/g, '\\$&')
  })
  return new RegExp(`^${source.join('')}$`, 's')
}

function check({ path, after, times, beyond, fault }: FaultRule): void {
  if (!path.startsWith('/') && !path.startsWith('*')) refuse(`a path pattern that starts with / or *, found "${path}"`)
  if (after !== undefined && !(Number.isInteger(after) && after >= 0)) refuse(`a whole number as after, found ${after}`)
  if (times !== undefined && !(Number.isInteger(times) && times >= 1)) refuse(`times of at least 1, found ${times}`)
  if (beyond !== undefined && !(Number.isInteger(beyond.requests) && inRange(beyond.requests, 0, MAX_REQUESTS))) {
    refuse(`a limit of 0 to ${MAX_REQUESTS} requests, found ${beyond.requests}`)
  }
  if (beyond !== undefined && !(beyond.seconds > 0 && inRange(beyond.seconds, 0, MAX_DELAY_MS / 1000))) {
    refuse(`a limit of seconds above 0 and up to ${MAX_DELAY_MS / 1000}, found ${beyond.seconds}`)
  }
  if (fault.kind === 'status' && !(Number.isInteger(fault.status) && fault.status >= 200 && fault.status <= 599)) {
    refuse(`a status from 200 to 599, found ${fault.status}`)
  }
  if (fault.kind === 'slow-body' && !(fault.bytesPerSecond > 0 && fault.bytesPerSecond <= MAX_BYTES_PER_SECOND)) {
    refuse(`bytesPerSecond above 0 and up to ${MAX_BYTES_PER_SECOND}, found ${fault.bytesPerSecond}`)
  }
  const headers = fault.kind === 'moved' ? [['Location', fault.location] as const] : []
  for (const [name, value] of fault.kind === 'status' ? (fault.headers ?? []) : headers) {
    if (!isHeader(name, value)) refuse(`a header that can be sent, found ${JSON.stringify(`${name}: ${value}`)}`)
  }
  if (fault.kind === 'endless-body' && fault.piece === '') refuse('a piece of an endless body, found an empty one')
  if (fault.kind === 'wrong-clock' && !(Math.abs(fault.offsetSeconds) <= MAX_OFFSET_SECONDS)) {
    refuse(`an offset of the clock up to ${MAX_OFFSET_SECONDS} s, found ${fault.offsetSeconds}`)
  }
  if (fault.kind === 'latency' && !(fault.delayMs >= 0 && fault.delayMs <= MAX_DELAY_MS)) {
    refuse(`a delay from 0 to ${MAX_DELAY_MS} ms, found ${fault.delayMs}`)
  }
}

function inRange(value: number, min: number, max: number): boolean {
  return value >= min && value <= max
}

function isHeader(name: string, value: string): boolean {
  try {
    validateHeaderName(name)
    validateHeaderValue(name, value)
    return value !== ''
  } catch {
    return false
  }
}

function refuse(expectation: string): never {
  throw new BootwrightError('INVALID_ARGUMENT', `A fault needs ${expectation}`, {
    hint: "For example { path: '/latest/meta-data/**', times: 2, fault: { kind: 'status', status: 503 } }.",
  })
}
