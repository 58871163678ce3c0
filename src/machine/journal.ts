import { BootwrightError } from '../system/index.ts'
import type { Guest } from './guest.ts'
import { describeExit } from './guest-exit.ts'
import { lastWords, linesOf } from './lines.ts'

/** Syslog priorities (syslog(3)), the most urgent first. */
export const JOURNAL_PRIORITIES = ['emerg', 'alert', 'crit', 'err', 'warning', 'notice', 'info', 'debug'] as const
export type JournalPriority = (typeof JOURNAL_PRIORITIES)[number]

export interface JournalOptions {
  /** Only entries after the one with this cursor; without it from the start of this boot. */
  readonly after?: string
  /** Only of these units: their own messages, and those of the manager about them. */
  readonly unit?: string | readonly string[]
  /** Only entries as urgent as this, and more urgent ones. */
  readonly priority?: JournalPriority
  /** `false`: ends after what is there already. Else it goes on until the loop is left. */
  readonly follow?: boolean
  /** `all`: of earlier boots too. */
  readonly boots?: 'this' | 'all'
  /** Ends the stream with its reason. */
  readonly signal?: AbortSignal
}

/** An entry of the journal (systemd.journal-fields(7), Journal JSON Format). */
export interface JournalEntry {
  readonly cursor: string
  readonly realtime: Date
  /** Since the start of that boot. */
  readonly monotonicUsec: number
  readonly bootId: string
  /** Empty for an entry without one. What is no UTF-8 is replaced; the bytes are in `fields`. */
  readonly message: string
  readonly priority: JournalPriority | undefined
  /** The unit that wrote it, or that it is about. */
  readonly unit: string | undefined
  readonly identifier: string | undefined
  readonly pid: number | undefined
  /** All fields, each with all its values; those that are no text as bytes. */
  readonly fields: Readonly<Record<string, readonly (string | Uint8Array)[]>>
}

/** Entries as they are written. Leaving the loop ends it in the guest as well. */
export async function* journal(
  guest: Guest,
  options: JournalOptions = {},
): AsyncGenerator<JournalEntry, void, undefined> {
  options.signal?.throwIfAborted()
  await using process = await guest.spawn(['journalctl', ...journalArguments(options)], { signal: options.signal })
  const said = lastWords(process.stderr, 2000)
  for await (const line of linesOf(process.stdout)) {
    options.signal?.throwIfAborted()
    yield parseJournalEntry(line.toString())
  }
  const exit = await process.exited
  options.signal?.throwIfAborted()
  if (exit.exitCode === 0) return
  throw new BootwrightError(
    'GUEST_COMMAND_FAILED',
    `journalctl ended with ${describeExit(exit)}: ${(await said).trim()}`,
    {
      detail: { exitCode: exit.exitCode },
    },
  )
}

function journalArguments({ after, unit, priority, follow = true, boots = 'this' }: JournalOptions): string[] {
  const units = typeof unit === 'string' ? [unit] : (unit ?? [])
  return [
    '--output=json',
    '--all',
    '--quiet',
    '--no-pager',
    ...(boots === 'this' ? ['--boot'] : []),
    ...(follow ? ['--follow', '--no-tail'] : []),
    ...(after === undefined ? [] : [`--after-cursor=${after}`]),
    ...(priority === undefined ? [] : [`--priority=${priority}`]),
    ...units.map((name) => `--unit=${name}`),
  ]
}

/** Reads a line of `journalctl --output=json`; anything else is `MALFORMED_INPUT`. */
export function parseJournalEntry(line: string): JournalEntry {
  const raw = parseObject(line)
  const fields: Record<string, readonly (string | Uint8Array)[]> = {}
  for (const [name, value] of Object.entries(raw)) fields[name] = fieldValues(value)
  const text = (name: string): string | undefined => {
    const value = fields[name]?.[0]
    return value === undefined || typeof value === 'string' ? value : Buffer.from(value).toString()
  }
  const required = (name: string): string => {
    const value = text(name)
    if (value === undefined) throw notAnEntry(`it has no ${name}`, line)
    return value
  }
  const number = (name: string): number | undefined => {
    const value = text(name)
    return value !== undefined && /^\d{1,16}$/.test(value) ? Number(value) : undefined
  }
  const realtimeUsec = Number(required('__REALTIME_TIMESTAMP'))
  if (!Number.isFinite(realtimeUsec)) throw notAnEntry('its time is no number', line)
  return {
    cursor: required('__CURSOR'),
    realtime: new Date(realtimeUsec / 1000),
    monotonicUsec: number('__MONOTONIC_TIMESTAMP') ?? 0,
    bootId: text('_BOOT_ID') ?? '',
    message: text('MESSAGE') ?? '',
    priority: JOURNAL_PRIORITIES[number('PRIORITY') ?? -1],
    // What the manager says of a unit is in fields without an underscore.
    unit: text('UNIT') ?? text('OBJECT_SYSTEMD_UNIT') ?? text('_SYSTEMD_UNIT'),
    identifier: text('SYSLOG_IDENTIFIER'),
    pid: number('_PID'),
    fields,
  }
}

function parseObject(line: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(line)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  } catch (cause) {
    throw notAnEntry('it is no JSON', line, cause)
  }
  throw notAnEntry('it is no JSON object', line)
}

/** A text, bytes as an array of numbers, several values as an array of those, or null for one that was too large. */
function fieldValues(value: unknown): (string | Uint8Array)[] {
  if (typeof value === 'string') return [value]
  if (!Array.isArray(value)) return []
  if (value.every((byte) => Number.isInteger(byte) && byte >= 0 && byte <= 255)) return [Uint8Array.from(value)]
  return value.flatMap(fieldValues)
}

function notAnEntry(problem: string, line: string, cause?: unknown): BootwrightError {
  return new BootwrightError('MALFORMED_INPUT', `Expected a journal entry, but ${problem}: ${line.slice(0, 200)}`, {
    ...(cause === undefined ? {} : { cause }),
  })
}
