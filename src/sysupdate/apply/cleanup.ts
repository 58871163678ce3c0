import { createHash } from 'node:crypto'
import { closeSync, constants, lstatSync, openSync, readdirSync, readlinkSync, rmSync } from 'node:fs'
import { BootwrightError, openBelow } from '../../system/index.ts'
import { removeBelow } from '../install/index.ts'
import type { PlacedTransfer } from '../open-updates.ts'
import { matchPatterns, type Pattern, parsePattern } from '../pattern.ts'
import { resolveBelow } from '../root-path.ts'
import { isNormalizedAbsolutePath } from '../values.ts'
import { DATABASE, databaseOf } from './install-database.ts'
import type { Run } from './run.ts'

const SEPARATOR = '/./'
const DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY

/** Components that something was installed for, whether they are defined any more or not. */
export function recordedComponents(root: string): readonly string[] {
  const directory = resolveBelow(root, DATABASE.slice(0, DATABASE.lastIndexOf('/')))
  return namesIn(directory)
    .flatMap((name) => /^installdb\.(.+)$/.exec(name)?.[1] ?? [])
    .sort()
}

/**
 * Deletes what was installed once, by the database of a component, and what no transfer that is on owns any more; then the
 * entries that stand for nothing. Gives whether all of that went well: what did not is told.
 */
export function cleanUp(run: Run): boolean {
  const { root } = run.opened
  const database = resolveBelow(root, databaseOf(run.component))
  let isWell = true
  for (const name of namesIn(database)) {
    const entry = readLink(`${database}/${name}`)
    if (entry === undefined) continue
    try {
      if (!keepsEntry(run, name, entry)) rmSync(`${database}/${name}`, { force: true })
    } catch (error) {
      isWell = false
      run.tell({ kind: 'warning', text: error instanceof Error ? error.message : String(error) })
    }
  }
  return isWell
}

/** Whether something that an entry stands for is owned still; what is not is deleted. */
function keepsEntry(run: Run, name: string, entry: string): boolean {
  const at = entry.indexOf(SEPARATOR)
  const [path, text] = [entry.slice(0, at), entry.slice(at + SEPARATOR.length)]
  const problem = createHash('sha256').update(entry).digest('hex') !== name ? 'Invalid hash of' : 'Malformed'
  const pattern = at < 0 ? undefined : readPattern(text)
  if (problem === 'Invalid hash of' || pattern === undefined || !isNormalizedAbsolutePath(path)) {
    run.tell({ kind: 'notice', text: `${problem} install database entry '${name}' → '${entry}', expunging.` })
    return false
  }
  const directory = openStrictly(run.opened.root, path)
  if (directory === undefined) return false
  try {
    const owners = run.opened.transfers.filter(
      ({ isEnabled, place }) => isEnabled && place.kind === 'files' && place.path === below(run.opened.root, path),
    )
    return deleteOrphans(run, { descriptor: directory, path, pattern, owners }, '')
  } finally {
    closeSync(directory)
  }
}

interface Search {
  readonly descriptor: number
  /** Of the entry, below the root. */
  readonly path: string
  readonly pattern: Pattern
  readonly owners: readonly PlacedTransfer[]
}

function deleteOrphans(run: Run, search: Search, relative: string): boolean {
  const here = `/proc/self/fd/${search.descriptor}`
  let isKept = false
  for (const name of namesIn(`${here}/${relative}`)) {
    const path = `${relative}${name}`
    const facts = lstatSync(`${here}/${path}`, { throwIfNoEntry: false })
    if (facts === undefined || !(facts.isFile() || facts.isDirectory())) continue
    const { fields, isDescent } = matchPatterns([search.pattern], path)
    if (fields === undefined) {
      if (isDescent && facts.isDirectory()) isKept = deleteOrphans(run, search, `${path}/`) || isKept
    } else if (isOwned(search.owners, path)) isKept = true
    else {
      removeBelow(here, path)
      const text = `Successfully removed '${path}' which is no longer owned by any transfer files.`
      run.tell({ kind: 'info', text })
    }
  }
  return isKept
}

function isOwned(owners: readonly PlacedTransfer[], path: string): boolean {
  return owners.some(({ target }) => {
    const { fields, isDescent } = matchPatterns(target.patterns, path)
    return fields !== undefined || isDescent
  })
}

/** Whoever wrote the entry had no link in the path: one that is there by now is not followed. */
function openStrictly(root: string, path: string): number | undefined {
  const top = openSync(root, DIRECTORY)
  try {
    return openBelow(top, path.slice(1), { flags: DIRECTORY, links: 'strict' })
  } catch (cause) {
    throw new BootwrightError('UPDATE_REFUSED', `Failed to open resource path '${path}': a link is on the way to it.`, {
      cause,
    })
  } finally {
    closeSync(top)
  }
}

function below(root: string, path: string): string {
  return `${root.replace(/\/+$/, '')}${path}`
}

function readPattern(text: string): Pattern | undefined {
  try {
    return parsePattern(text)
  } catch {
    return undefined
  }
}

function readLink(path: string): string | undefined {
  try {
    return readlinkSync(path)
  } catch {
    return undefined
  }
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
