import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { openPlace } from '../install/index.ts'
import { resolveBelow } from '../root-path.ts'

const DIRECTORY = '/var/lib/systemd/sysupdate'

/** Something that is to be known by later runs. */
export interface NotePlace {
  readonly root: string
  readonly component: string | undefined
  /** Without suffix. */
  readonly name: string
}

/** What was noted; undefined for nothing, and for what tells nothing. */
export function readNote(place: NotePlace): unknown {
  try {
    return JSON.parse(readFileSync(pathOf(place), 'utf8'))
  } catch {
    return undefined
  }
}

export function writeNote(place: NotePlace, value: object, { isSynced }: { readonly isSynced: boolean }): void {
  using opened = openPlace({ root: place.root, directory: DIRECTORY, name: fileName(place) }, { isSynced })
  const aside = opened.path('.#')
  rmSync(aside, { force: true })
  writeFileSync(aside, `${JSON.stringify(value)}\n`, { flag: 'wx', mode: 0o600, flush: isSynced })
  renameSync(aside, opened.path(''))
  opened.sync()
}

export function removeNote(place: NotePlace): void {
  rmSync(pathOf(place), { force: true })
}

function pathOf(place: NotePlace): string {
  return resolveBelow(place.root, `${DIRECTORY}/${fileName(place)}`)
}

function fileName({ name, component }: NotePlace): string {
  return component === undefined ? `${name}.json` : `${name}.${component}.json`
}
