import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs'
import { basename } from 'node:path'
import type { DefinitionFile } from './definition-file.ts'
import { isTransferEnabled, type OptionKind, parseOption } from './parse-option.ts'
import { type DefinitionContext, parseTransfer } from './parse-transfer.ts'
import { resolveBelow } from './root-path.ts'
import type { DefinitionProblem, OptionDefinition, Transfer } from './types.ts'
import { isFileName } from './values.ts'

/** Where definitions are, from what counts most to what counts least. */
const ROOTS = ['/etc', '/run', '/usr/local/lib', '/usr/lib']

export interface DefinitionPlace {
  /** `/`, or the root of another system. */
  readonly root: string
  /** One directory in place of all others (`--definitions=`). */
  readonly directory: string | undefined
  /** Undefined for the default one. */
  readonly component: string | undefined
}

export interface Definitions {
  /** All of them, in the order of their names. */
  readonly transfers: readonly (Transfer & { readonly isEnabled: boolean })[]
  readonly features: ReadonlyMap<string, OptionDefinition>
  /** Undefined for the default component, and with one directory. */
  readonly component: OptionDefinition | undefined
  readonly problems: readonly DefinitionProblem[]
  /** Whether the old suffix `.conf` was taken, for want of any `.transfer`. */
  readonly isOldSuffix: boolean
}

/** Reads all definitions of a component. Rejects with `MALFORMED_INPUT` for one that cannot be used. */
export function readDefinitions(place: DefinitionPlace, context: DefinitionContext): Definitions {
  const problems: DefinitionProblem[] = []
  const directories = definitionDirectories(place)
  const component =
    place.directory === undefined && place.component !== undefined
      ? readComponent(place.root, place.component, problems)
      : undefined
  const features = new Map(
    findFiles(place.root, directories, '.feature').map((name) => {
      const id = name.slice(0, -'.feature'.length)
      return [id, parseOption('feature', id, readFiles(place.root, directories, name), problems)]
    }),
  )
  let suffix = '.transfer'
  let names = findFiles(place.root, directories, suffix)
  if (names.length === 0) {
    suffix = '.conf'
    names = findFiles(place.root, directories, suffix)
  }
  const transfers = names.map((name) => {
    const files = readFiles(place.root, directories, name)
    const transfer = parseTransfer(name.slice(0, -suffix.length), files, context, problems)
    return { ...transfer, isEnabled: isTransferEnabled(transfer, features) }
  })
  return { transfers, features, component, problems, isOldSuffix: suffix === '.conf' && names.length > 0 }
}

function definitionDirectories({ directory, component }: DefinitionPlace): string[] {
  if (directory !== undefined) return [directory]
  const name = component === undefined ? 'sysupdate.d' : `sysupdate.${component}.d`
  return ROOTS.map((root) => `${root}/${name}`)
}

/** The definition of a component, which need not exist; that of one without a file holds what holds by itself. */
export function readComponent(root: string, name: string, problems: DefinitionProblem[]): OptionDefinition {
  const file = `sysupdate.${name}.component`
  const kind: OptionKind = 'component'
  return parseOption(kind, name, readFiles(root, ROOTS, file), problems)
}

export interface Components {
  /** Whether there is any transfer that belongs to no named component. */
  readonly hasDefault: boolean
  /** In the order of their names. */
  readonly names: readonly string[]
}

/** The components that exist: those that have a directory. */
export function findComponents(root: string): Components {
  const names = new Set<string>()
  for (const place of ROOTS) {
    for (const entry of entriesOf(root, place)) {
      const name = /^sysupdate\.(.+)\.d$/.exec(entry)?.[1]
      if (name === undefined || !isComponentName(name)) continue
      if (isDirectory(root, `${place}/${entry}`)) names.add(name)
    }
  }
  const directories = ROOTS.map((place) => `${place}/sysupdate.d`)
  const hasDefault = ['.transfer', '.conf'].some((suffix) => findFiles(root, directories, suffix).length > 0)
  return { hasDefault, names: [...names].sort(byBytes) }
}

/** Whether a text can name a feature. */
export function isFeatureName(name: string): boolean {
  return isFileName(name) && isFileName(`${name}.feature`) && !/[\p{Cc}\ufffd]/u.test(name)
}

export function isComponentName(name: string): boolean {
  return (
    isFileName(name) &&
    isFileName(`sysupdate.${name}.component`) &&
    !name.endsWith('.component') &&
    !/[\p{Cc}\ufffd]/u.test(name)
  )
}

/** Names of what has this suffix and is not masked, each once, sorted. */
function findFiles(root: string, directories: readonly string[], suffix: string): string[] {
  const seen = new Set<string>()
  const found: string[] = []
  for (const directory of directories) {
    for (const name of entriesOf(root, directory)) {
      if (!name.endsWith(suffix) || name.startsWith('.') || seen.has(name)) continue
      const kind = fileKind(root, `${directory}/${name}`)
      if (kind === 'other') continue
      seen.add(name)
      if (kind === 'file') found.push(name)
    }
  }
  return found.sort(byBytes)
}

/** A definition where it counts most, and its drop-ins in the order of their names, wherever they are. */
function readFiles(root: string, directories: readonly string[], name: string): DefinitionFile[] {
  const paths: string[] = []
  const main = directories.map((directory) => `${directory}/${name}`).find((path) => fileKind(root, path) !== 'other')
  if (main !== undefined && fileKind(root, main) === 'file') paths.push(main)
  const places = directories.map((directory) => `${directory}/${name}.d`)
  for (const dropIn of findFiles(root, places, '.conf')) {
    const path = places.map((place) => `${place}/${dropIn}`).find((candidate) => fileKind(root, candidate) !== 'other')
    if (path !== undefined) paths.push(path)
  }
  return paths.map((path) => ({ path: shownPath(root, path), bytes: readFileSync(resolveBelow(root, path)) }))
}

function shownPath(root: string, path: string): string {
  return root === '/' ? path : `${root.replace(/\/+$/, '')}${path}`
}

/** A link to /dev/null, or an empty file, is a mask: what has the same name and counts less is not there either. */
function fileKind(root: string, path: string): 'file' | 'mask' | 'other' {
  try {
    const parent = resolveBelow(root, path.slice(0, -basename(path).length))
    if (readLink(`${parent}/${basename(path)}`) === '/dev/null') return 'mask'
    const facts = statSync(resolveBelow(root, path))
    if (!facts.isFile()) return 'other'
    return facts.size === 0 ? 'mask' : 'file'
  } catch {
    return 'other'
  }
}

function readLink(path: string): string | undefined {
  try {
    return readlinkSync(path)
  } catch {
    return undefined
  }
}

function isDirectory(root: string, path: string): boolean {
  return statSync(resolveBelow(root, path), { throwIfNoEntry: false })?.isDirectory() === true
}

function entriesOf(root: string, directory: string): string[] {
  try {
    return readdirSync(resolveBelow(root, directory))
  } catch {
    return []
  }
}

function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}
