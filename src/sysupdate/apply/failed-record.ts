import { compareVersions } from '../../formats/index.ts'
import { type NotePlace, readNote, removeNote, writeNote } from './note.ts'
import type { Run } from './run.ts'

const NAME = 'failed'

/** Versions that have burnt all their tries at some time, and are not to be offered again when they are deleted. */
export function readFailed(root: string, component: string | undefined): readonly string[] {
  const { versions } = (readNote({ root, component, name: NAME }) ?? {}) as { versions?: unknown }
  return Array.isArray(versions) ? versions.filter((version) => typeof version === 'string') : []
}

/** To be called before any of them may be deleted. */
export function rememberFailed(run: Run, versions: readonly string[]): void {
  if (!isKept(run)) return
  const known = readFailed(run.opened.root, run.component)
  const fresh = versions.filter((version) => !known.includes(version))
  if (fresh.length > 0) writeNote(placeOf(run), { versions: [...known, ...new Set(fresh)] }, run)
}

/** Somebody wanted it all the same. */
export function forgetFailed(run: Run, version: string): void {
  if (!isKept(run)) return
  const known = readFailed(run.opened.root, run.component)
  const left = known.filter((one) => compareVersions(one, version) !== 0)
  if (left.length === known.length) return
  if (left.length === 0) removeNote(placeOf(run))
  else writeNote(placeOf(run), { versions: left }, run)
}

function isKept({ behaviour, isRecorded }: Run): boolean {
  return behaviour === 'correct' && isRecorded
}

function placeOf({ opened, component }: Run): NotePlace {
  return { root: opened.root, component, name: NAME }
}
