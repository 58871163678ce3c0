import { readFile } from 'node:fs/promises'
import { BootwrightError } from '../system/index.ts'

/** A test that is known to fail, for a while. */
export interface QuarantineEntry {
  /** Full name, groups and test joined by ` > `, as the reporters print it. */
  readonly test: string
  readonly reason: string
  /** Where it is being worked on. */
  readonly tracker: string
  /** The last day on which the entry holds, `YYYY-MM-DD`. */
  readonly until: string
}

const FIELDS = ['test', 'reason', 'tracker', 'until'] as const

/** Reads the list; none when there is no file. Rejects with `MALFORMED_INPUT` when an entry is not whole. */
export async function readQuarantine(path: string): Promise<QuarantineEntry[]> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  return text === undefined ? [] : parseQuarantine(text, path)
}

export function parseQuarantine(text: string, path: string): QuarantineEntry[] {
  const refuse = (found: string, cause?: unknown) =>
    new BootwrightError('MALFORMED_INPUT', `Cannot read ${path}: ${found}`, {
      cause,
      hint: `It is a JSON list of entries with ${FIELDS.join(', ')}; "until" is a day, YYYY-MM-DD.`,
    })
  let entries: unknown
  try {
    entries = JSON.parse(text)
  } catch (cause) {
    throw refuse('it is not JSON', cause)
  }
  if (!Array.isArray(entries)) throw refuse('it is no list')
  for (const [index, entry] of entries.entries()) {
    for (const field of FIELDS) {
      const value = (entry as Partial<QuarantineEntry> | null)?.[field]
      if (typeof value !== 'string' || value.trim() === '') throw refuse(`entry ${index + 1} has no "${field}"`)
    }
    const { until, tracker } = entry as QuarantineEntry
    if (!/^\d{4}-\d\d-\d\d$/.test(until) || Number.isNaN(Date.parse(until)))
      throw refuse(`"until" of entry ${index + 1} is "${until}", which is no day`)
    if (!URL.canParse(tracker)) throw refuse(`"tracker" of entry ${index + 1} is "${tracker}", which is no link`)
  }
  return entries as QuarantineEntry[]
}

/** Whether an entry no longer holds on a day. */
export function isExpired({ until }: QuarantineEntry, now: Date): boolean {
  return now.toISOString().slice(0, 10) > until
}
