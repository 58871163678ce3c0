import { BootwrightError } from '../../system/index.ts'
import { printable } from '../payload/index.ts'
import type { ManifestEntry } from './manifest.ts'

/** Of the empty file, which a marker should be. */
const EMPTY_SHA256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
const PREFIX = 'BEST-BEFORE-'

/**
 * Whether a manifest may still be used at this time: each `BEST-BEFORE-YYYY-MM-DD` that it lists must lie ahead, where a
 * date means the first moment of the day in UTC, so that the marker of today is stale.
 *
 * Rejects with `UPDATE_UNTRUSTED` when one has passed. Gives warnings about markers that tell nothing.
 */
export function checkBestBefore(entries: readonly ManifestEntry[], now: Date): readonly string[] {
  const warnings: string[] = []
  for (const { name, sha256 } of entries) {
    const slash = name.lastIndexOf('/')
    if (!name.startsWith(PREFIX, slash + 1)) continue
    const shown = printable(name)
    if (slash !== -1) {
      warnings.push(`The marker "${shown}" lies in a subdirectory and is ignored.`)
      continue
    }
    const date = parseDate(name.slice(PREFIX.length))
    if (date === undefined) {
      warnings.push(`The marker "${shown}" has no date of the form YYYY-MM-DD and is ignored.`)
      continue
    }
    if (sha256 !== EMPTY_SHA256) warnings.push(`The marker "${shown}" is no empty file; its date counts all the same.`)
    if (date.getTime() >= now.getTime()) continue
    throw new BootwrightError(
      'UPDATE_UNTRUSTED',
      `The manifest was best before ${name.slice(PREFIX.length)}, and now it is ${now.toISOString().slice(0, 10)}`,
      {
        hint: 'Somebody may hold back newer releases: ask for a manifest with a later date, or correct the clock.',
        detail: { reason: 'stale' },
      },
    )
  }
  return warnings
}

function parseDate(text: string): Date | undefined {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(text)) return undefined
  const date = new Date(`${text}T00:00:00Z`)
  // JavaScript takes the 30th of February for the 1st of March.
  return Number.isNaN(date.getTime()) || date.toISOString().slice(0, 10) !== text ? undefined : date
}
