import { BootwrightError } from '../system/index.ts'

/** One way for a file server to be wrong. Bytes count from the start of the body that is sent. */
export type ServeFault =
  /** Announces the whole body, ends the connection after so many bytes. */
  | { readonly kind: 'truncate'; readonly bytes: number }
  /** Sends so many bytes and then nothing more; the connection stays open. */
  | { readonly kind: 'stall'; readonly bytes: number }
  | { readonly kind: 'slow'; readonly bytesPerSecond: number }
  | { readonly kind: 'status'; readonly status: number }
  /** Sends on to another address (302). */
  | { readonly kind: 'redirect'; readonly location: string }
  /** Says nothing about the length and never ends. */
  | { readonly kind: 'endless' }
  /** Inverts one byte. */
  | { readonly kind: 'corrupt'; readonly bytes: number }

/** A fault and the requests it befalls. */
export interface ServeFaultRule {
  /** Pattern over the path of the request: `*` is anything but a slash, `**` anything. */
  readonly path: string
  /** How many matching requests it befalls; all when absent. */
  readonly times?: number
  readonly fault: ServeFault
}

const FORMS: Readonly<Record<ServeFault['kind'], { readonly value: string; readonly standard?: number }>> = {
  truncate: { value: 'BYTES', standard: 0 },
  stall: { value: 'BYTES', standard: 0 },
  slow: { value: 'BYTES-PER-SECOND', standard: 1000 },
  status: { value: 'STATUS', standard: 503 },
  redirect: { value: 'ADDRESS' },
  endless: { value: '' },
  corrupt: { value: 'BYTES', standard: 0 },
}

/**
 * A rule as one writes it on a command line: `PATH KIND [VALUE] [times N]`, for example `/*.raw truncate 1000 times 2`.
 * Rejects with `INVALID_ARGUMENT`.
 */
export function parseServeFault(text: string): ServeFaultRule {
  const words = text.trim().split(/\s+/)
  const timesAt = words.indexOf('times', 2)
  const times = timesAt === -1 ? undefined : number(words[timesAt + 1], 'times', text)
  const [path = '', kind = '', value, ...rest] = timesAt === -1 ? words : words.slice(0, timesAt)
  if (rest.length > 0 || (timesAt !== -1 && words.length !== timesAt + 2)) throw refused(text, 'has too many words')
  if (!path.startsWith('/') && !path.startsWith('*')) throw refused(text, 'begins with no path')
  if (!Object.hasOwn(FORMS, kind)) throw refused(text, `names no fault "${kind}"`)
  if (times === 0) throw refused(text, 'befalls nothing')
  const fault = faultOf(kind as ServeFault['kind'], value, text)
  return { path, ...(times === undefined ? {} : { times }), fault }
}

function faultOf(kind: ServeFault['kind'], value: string | undefined, text: string): ServeFault {
  const amount = (): number => (value === undefined ? (FORMS[kind].standard ?? 0) : number(value, kind, text))
  switch (kind) {
    case 'truncate':
    case 'stall':
    case 'corrupt':
      return { kind, bytes: amount() }
    case 'slow': {
      const bytesPerSecond = amount()
      if (bytesPerSecond < 1) throw refused(text, 'would never send a byte: use stall')
      return { kind, bytesPerSecond }
    }
    case 'status': {
      const status = amount()
      if (status < 400 || status > 599) throw refused(text, `names no failure, ${status}`)
      return { kind, status }
    }
    case 'redirect':
      if (value === undefined || !URL.canParse(value, 'http://host/')) throw refused(text, 'names no address')
      return { kind, location: value }
    case 'endless':
      if (value !== undefined) throw refused(text, 'has too many words')
      return { kind }
  }
}

function number(text: string | undefined, what: string, rule: string): number {
  if (text === undefined || !/^\d{1,15}$/.test(text)) throw refused(rule, `has no whole number for ${what}`)
  return Number(text)
}

function refused(text: string, problem: string): BootwrightError {
  const forms = Object.entries(FORMS).map(([kind, { value }]) => (value === '' ? kind : `${kind} ${value}`))
  return new BootwrightError('INVALID_ARGUMENT', `The fault "${text}" ${problem}`, {
    hint: `Write PATH FAULT [times N], for example "/*.raw truncate 1000 times 2". Faults: ${forms.join(', ')}.`,
  })
}

/** The faults of one server; the first rule that matches counts. */
export class ServeFaults {
  readonly #rules = new Map<ServeFaultRule, { readonly pattern: RegExp; left: number }>()

  /** Adds a rule behind the others; disposing of the result takes it away. */
  add(rule: ServeFaultRule): Disposable {
    this.#rules.set(rule, { pattern: globPattern(rule.path), left: rule.times ?? Number.POSITIVE_INFINITY })
    return { [Symbol.dispose]: () => void this.#rules.delete(rule) }
  }

  /** The fault that befalls this request, and counts it. */
  take(path: string): ServeFault | undefined {
    for (const [rule, state] of this.#rules) {
      if (state.left === 0 || !state.pattern.test(path)) continue
      state.left--
      return rule.fault
    }
    return undefined
  }
}

function globPattern(glob: string): RegExp {
  const source = glob
    .split(/(\*+)/)
    .map((part) =>
      part === '*' ? '[^/]*' : part.startsWith('**') ? '.*' : part.replaceAll(/[.+?^${}()|[\]\\]/g, '\\$&'),
    )
  return new RegExp(`^${source.join('')}$`, 's')
}
