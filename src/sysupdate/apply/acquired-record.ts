import type { Instance } from '../types.ts'
import { type NotePlace, readNote, removeNote, writeNote } from './note.ts'
import type { Run } from './run.ts'

/**
 * What the parts were acquired from that wait to be installed: by the name of their transfer, a word for the content of the
 * source. A release that was published anew under the same version must not be put together from both.
 */
export type AcquiredRecord = Readonly<Record<string, string>>

/** A word for a source: its hash, or what changes with a local one. */
export function contentWord({ path, fields }: Instance): string {
  return fields.sha256 ?? `${path} ${fields.mtimeUs ?? ''} ${fields.size ?? ''}`
}

/** None, or none that tells anything: then everything is acquired anew. */
export function readAcquired(run: Run, version: string): AcquiredRecord {
  if (!isKept(run)) return {}
  const { version: of, parts } = (readNote(placeOf(run)) ?? {}) as { version?: unknown; parts?: unknown }
  if (of !== version || typeof parts !== 'object' || parts === null) return {}
  return Object.fromEntries(Object.entries(parts).filter(([, word]) => typeof word === 'string'))
}

export function writeAcquired(run: Run, version: string, parts: AcquiredRecord): void {
  if (isKept(run)) writeNote(placeOf(run), { version, parts }, run)
}

export function removeAcquired(run: Run): void {
  if (isKept(run)) removeNote(placeOf(run))
}

function isKept({ behaviour, isRecorded }: Run): boolean {
  return behaviour === 'correct' && isRecorded
}

function placeOf({ opened, component }: Run): NotePlace {
  return { root: opened.root, component, name: 'acquired' }
}
