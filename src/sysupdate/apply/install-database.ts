import { createHash } from 'node:crypto'
import { readlinkSync, renameSync, symlinkSync } from 'node:fs'
import { openPlace } from '../install/index.ts'
import type { Pattern } from '../pattern.ts'
import type { Run } from './run.ts'

export const DATABASE = '/var/lib/systemd/sysupdate/installdb'

/**
 * Notes that a directory has files of these patterns, for a later cleanup: a link for each, whose text is directory and pattern,
 * and whose name is the SHA-256 of that. What cannot be noted is told, and nothing more.
 */
export function recordInstalled(run: Run, directory: string, patterns: readonly Pattern[]): void {
  const root = run.opened.root.replace(/\/+$/, '')
  // What lies outside of the root cannot be found again by who looks from inside.
  if (!directory.startsWith(`${root}/`)) return
  for (const { text } of patterns) {
    const entry = `${directory.slice(root.length)}/./${text}`
    try {
      record(run, entry)
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      run.tell({ kind: 'warning', text: `Failed to add '${text}' in '${directory}' entry to install database: ${why}` })
    }
  }
}

function record({ opened, component, isSynced }: Run, entry: string): void {
  const name = createHash('sha256').update(entry).digest('hex')
  using place = openPlace({ root: opened.root, directory: databaseOf(component), name }, { isSynced })
  const path = place.path('')
  if (readLink(path) === entry) return
  const temporary = place.path('.#')
  symlinkSync(entry, temporary)
  renameSync(temporary, path)
  place.sync()
}

/** Where what was installed for a component is noted. */
export function databaseOf(component: string | undefined): string {
  return component === undefined ? DATABASE : `${DATABASE}.${component}`
}

function readLink(path: string): string | undefined {
  try {
    return readlinkSync(path)
  } catch {
    return undefined
  }
}
