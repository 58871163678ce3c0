import { createHash } from 'node:crypto'
import { BootwrightError } from '../system/index.ts'
import type { Sum } from './sums.ts'

const PREFIX = 'BEST-BEFORE-'

/** The marker of a day, `YYYY-MM-DD`; rejects with `INVALID_ARGUMENT` unless it lies ahead: a marker of today is stale. */
export function bestBeforeName(date: string, now: Date): string {
  const time = /^\d{4}-\d{2}-\d{2}$/.test(date) ? Date.parse(`${date}T00:00:00Z`) : Number.NaN
  const isDay = !Number.isNaN(time) && new Date(time).toISOString().startsWith(date)
  if (isDay && time > now.getTime()) return `${PREFIX}${date}`
  throw new BootwrightError('INVALID_ARGUMENT', `"${date}" is ${isDay ? 'no day that lies ahead' : 'no date'}`, {
    hint: 'Write a day after today as YYYY-MM-DD: the manifest is refused from its first moment on, in UTC.',
  })
}

export function isBestBefore(name: string): boolean {
  return name.startsWith(PREFIX)
}

/** The list with this marker as the only one, with none (null), or as it is (undefined). */
export function withBestBefore(sums: readonly Sum[], marker: string | null | undefined): Sum[] {
  if (marker === undefined) return [...sums]
  const others = sums.filter(({ name }) => !isBestBefore(name))
  return marker === null ? others : [...others, { name: marker, sha256: createHash('sha256').digest('hex') }]
}
