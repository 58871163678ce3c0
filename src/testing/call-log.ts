import { describe } from '../system/index.ts'

interface Call {
  readonly verb: string
  readonly argument: string
  outcome: string
  ms: number | undefined
}

const SHOWN = 20
const KEPT = 1_000
const ARGUMENT_CHARACTERS = 90

/** What was tried on a machine, in order: verb, argument, outcome and milliseconds. The story that an error tells. */
export class CallLog {
  readonly #calls: Call[] = []
  #dropped = 0

  /** Notes a call; the function returned notes its end. What never ended is `running`. */
  begin(verb: string, args: readonly unknown[] = []): (error?: unknown) => void {
    const argument = args
      .map(argumentText)
      .filter((text) => text !== '')
      .join(' ')
    const call: Call = { verb, argument, outcome: 'running', ms: undefined }
    this.#calls.push(call)
    if (this.#calls.length > KEPT) {
      this.#calls.shift()
      this.#dropped++
    }
    const begun = performance.now()
    return (error) => {
      call.ms = Math.round(performance.now() - begun)
      call.outcome = error === undefined ? 'ok' : outcomeOf(error)
    }
  }

  /** Notes a call from its beginning to its end. */
  async record<T>(verb: string, args: readonly unknown[], work: () => Promise<T>): Promise<T> {
    const end = this.begin(verb, args)
    try {
      const result = await work()
      end()
      return result
    } catch (error) {
      end(error)
      throw error
    }
  }

  /** One line a call, the last ones only unless `all` is asked for. */
  lines(which: 'last' | 'all' = 'last'): string[] {
    const shown = which === 'all' ? this.#calls : this.#calls.slice(-SHOWN)
    const before = this.#dropped + this.#calls.length - shown.length
    const width = Math.max(0, ...shown.map(({ verb }) => verb.length))
    return [
      ...(before === 0 ? [] : [`… ${before} before`]),
      ...shown.map(({ verb, argument, outcome, ms }) => {
        const time = `${ms === undefined ? '…' : ms} ms`.padStart(8)
        return `${time}  ${verb.padEnd(width)}  ${argument === '' ? '' : `${argument}  `}${outcome}`
      }),
    ]
  }
}

/** The first line of an error, with its code where it has one. */
function outcomeOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  const code = (error as { code?: unknown } | null)?.code
  return `failed: ${typeof code === 'string' ? `${code}, ` : ''}${message.split('\n', 1)[0]}`
}

/** A value as it reads in one line: a command as one would type it, bytes by their number. */
export function argumentText(value: unknown): string {
  const text = plainText(value)
  const line = text.replaceAll(/\s*\n\s*/g, '⏎')
  return line.length > ARGUMENT_CHARACTERS ? `${line.slice(0, ARGUMENT_CHARACTERS)}…` : line
}

function plainText(value: unknown): string {
  if (value === undefined) return ''
  if (typeof value === 'string') return value
  if (value instanceof Uint8Array) return `<${value.length} bytes>`
  if (Array.isArray(value) && value.every((word) => typeof word === 'string')) return describe({ argv: value })
  if (typeof value === 'function') return '<function>'
  if (typeof value !== 'object' || value === null) return String(value)
  const facts = Object.entries(value).filter(([, part]) => !(part instanceof AbortSignal) && part !== undefined)
  if (facts.length === 0) return ''
  return `{ ${facts.map(([key, part]) => `${key}: ${plainText(part)}`).join(', ')} }`
}
