import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { openPlace } from '../install/index.ts'
import { resolveBelow } from '../root-path.ts'
import type { Instance } from '../types.ts'
import type { Run } from './run.ts'

const DIRECTORY = '/var/lib/systemd/sysupdate'

/**
 * What the parts were acquired from that wait to be installed: by the name of their transfer, a word for the content of the
 * source. A release that was published anew under the same version must not be put together from both.
 */
export type AcquiredRecord = Readonly<Record<string, string>>

/** A word for a source: its hash, or what changes with a local one. */
export function contentWord({ path, fields }: Instance): string {
  return fields.sha256 ?? `${path} ${fields.mtimeUs ?? ''} ${fields.size ?? ''}`
}

export function readAcquired(run: Run, version: string): AcquiredRecord {
  if (!isKept(run)) return {}
  try {
    const text = readFileSync(resolveBelow(run.opened.root, `${DIRECTORY}/${nameFor(run)}`), 'utf8')
    const { version: of, parts } = JSON.parse(text) as { version?: unknown; parts?: unknown }
    if (of !== version || typeof parts !== 'object' || parts === null) return {}
    return Object.fromEntries(Object.entries(parts).filter(([, word]) => typeof word === 'string'))
  } catch {
    // None, or none that tells anything: then everything is acquired anew.
    return {}
  }
}

export function writeAcquired(run: Run, version: string, parts: AcquiredRecord): void {
  if (!isKept(run)) return
  using place = openPlace({ root: run.opened.root, directory: DIRECTORY, name: nameFor(run) }, run)
  const aside = place.path('.#')
  rmSync(aside, { force: true })
  writeFileSync(aside, `${JSON.stringify({ version, parts })}\n`, { flag: 'wx', mode: 0o600, flush: run.isSynced })
  renameSync(aside, place.path(''))
  place.sync()
}

export function removeAcquired(run: Run): void {
  if (!isKept(run)) return
  rmSync(resolveBelow(run.opened.root, `${DIRECTORY}/${nameFor(run)}`), { force: true })
}

function isKept({ behaviour, isRecorded }: Run): boolean {
  return behaviour === 'correct' && isRecorded
}

function nameFor({ component }: Run): string {
  return component === undefined ? 'acquired.json' : `acquired.${component}.json`
}
