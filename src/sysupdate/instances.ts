import { type Dirent, lstatSync, readdirSync } from 'node:fs'
import type { Gpt, GptPartition } from '../formats/index.ts'
import { type FatPlace, openFat } from './fat-place.ts'
import { addressOf, type ManifestEntry } from './manifest/index.ts'
import { unfinishedType } from './partition-types.ts'
import { matchPatterns, type PatternFields } from './pattern.ts'
import { resolveBelow } from './root-path.ts'
import type { Instance, Resource } from './types.ts'

/** The label of a partition that holds nothing. */
export const EMPTY_LABEL = '_empty'

const UNFINISHED = /^\.sysupdate\.(partial|pending)\./
/** Deeper than any pattern goes; a directory is no loop, because links are not followed. */
const MAX_DEPTH = 64

/** What a directory of a tree has, of files and directories alone. */
interface TreeEntry {
  readonly name: string
  readonly isDirectory: boolean
  /** What the file system knows of it; undefined when it is gone. */
  facts(): Partial<PatternFields> | undefined
}

export interface DirectoryOptions {
  /** Whether files are asked for their time and mode, one by one: only what installs them or shows them needs that. Yes without. */
  readonly asksFiles?: boolean
}

/**
 * Instances of a resource in the file system: files or directories by their own kind, never links, in no particular order.
 * A directory that is not there has none.
 *
 * @param path of the resource, already resolved
 */
export function directoryInstances(
  resource: Resource,
  path: string,
  { asksFiles = true }: DirectoryOptions = {},
): Instance[] {
  return treeInstances(resource, path, (below) => entriesIn(below === '' ? path : `${path}/${below}`, asksFiles))
}

/** The same in a FAT file system of a disk image, which tells nothing of modes. */
export function fatInstances(resource: Resource, place: FatPlace): Instance[] {
  using volume = openFat(place)
  return treeInstances(resource, place.path, (below) =>
    (volume.list(`${place.directory}/${below}`) ?? []).map(({ name, isDirectory }) => ({
      name,
      isDirectory,
      facts: noFacts,
    })),
  )
}

function treeInstances(resource: Resource, root: string, list: (below: string) => readonly TreeEntry[]): Instance[] {
  const found: Instance[] = []
  const visit = (below: string, depth: number): void => {
    for (const entry of list(below)) {
      const { name, isDirectory } = entry
      const [prefix = '', state] = (name.startsWith('.') ? UNFINISHED.exec(name) : null) ?? []
      const at = below === '' ? '' : `${below}/`
      const match = matchPatterns(resource.patterns, `${at}${name.slice(prefix.length)}`)
      if (match.fields !== undefined && isDirectory === isDirectoryType(resource)) {
        const { type } = resource
        const path = `${root}/${at}${name}`
        const facts = entry.facts()
        if (facts === undefined) continue
        const fields = facts === NO_FACTS ? match.fields : { ...facts, ...match.fields }
        found.push({ type, path, fields, state: stateOf(state), patternIndex: match.index })
      } else if (isDirectory && match.isDescent && depth < MAX_DEPTH) visit(`${at}${name}`, depth + 1)
    }
  }
  visit('', 0)
  return found
}

const NO_FACTS: Partial<PatternFields> = {}
const noFacts = (): Partial<PatternFields> => NO_FACTS

function entriesIn(directory: string, asksFiles: boolean): TreeEntry[] {
  const entries: TreeEntry[] = []
  for (const entry of direntsIn(directory)) {
    const isDirectory = entry.isDirectory()
    if (!isDirectory && !entry.isFile()) continue
    const { name } = entry
    entries.push({ name, isDirectory, facts: asksFiles ? () => factsOf(`${directory}/${name}`) : noFacts })
  }
  return entries
}

function factsOf(path: string): Partial<PatternFields> | undefined {
  const facts = lstatSync(path, { throwIfNoEntry: false, bigint: true })
  if (facts === undefined || facts.isSymbolicLink()) return undefined
  // Nobody gains a right by an update: no write access for all, no set-user-ID.
  return { mtimeUs: facts.mtimeNs / 1000n, mode: Number(facts.mode & 0o775n) }
}

function isDirectoryType({ type }: Resource): boolean {
  return type === 'directory' || type === 'subvolume'
}

function stateOf(word: string | undefined): Instance['state'] {
  return word === 'partial' || word === 'pending' ? word : 'complete'
}

function direntsIn(directory: string): Dirent[] {
  try {
    return readdirSync(directory, { withFileTypes: true })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return []
    throw error
  }
}

/** The directory of a resource below a root; that of the EFI or boot partition must be told, and has no links in it. */
export function resourceDirectory(
  resource: Pick<Resource, 'path' | 'pathRelativeTo'>,
  root: string,
  bases: { readonly esp?: string; readonly xbootldr?: string; readonly explicit?: string },
): string | undefined {
  if (resource.pathRelativeTo === 'root') return resolveBelow(root, resource.path)
  if (resource.pathRelativeTo === 'explicit') {
    return bases.explicit === undefined ? undefined : resolveBelow(bases.explicit, resource.path)
  }
  const base = resource.pathRelativeTo === 'esp' ? bases.esp : (bases.xbootldr ?? bases.esp)
  return base === undefined ? undefined : resolveBelow(base, resource.path, { links: 'prohibited' })
}

export interface Slots {
  readonly instances: readonly Instance[]
  /** Partitions of the type that hold nothing. */
  readonly empty: readonly GptPartition[]
}

/**
 * Instances among the partitions of a disk: those of the type, and of the types derived from it, whose label fits.
 *
 * @param disk how the disk is called in the path of an instance
 */
export function partitionInstances(resource: Resource, gpt: Pick<Gpt, 'partitions'>, disk: string): Slots {
  const states = new Map<string, Instance['state']>([
    [resource.partitionType, 'complete'],
    [unfinishedType(resource.partitionType, 'partial'), 'partial'],
    [unfinishedType(resource.partitionType, 'pending'), 'pending'],
  ])
  const instances: Instance[] = []
  const empty: GptPartition[] = []
  for (const partition of gpt.partitions) {
    const state = states.get(partition.typeGuid)
    if (state === undefined) continue
    if (partition.name === EMPTY_LABEL) {
      // What is half written and half erased is free as well, but only once its type is back.
      if (state === 'complete') empty.push(partition)
      continue
    }
    const match = matchPatterns(resource.patterns, partition.name)
    if (match.fields === undefined) continue
    const fields: PatternFields = {
      partitionUuid: partition.partitionGuid,
      partitionFlags: partition.attributes,
      readOnly: (partition.attributes & READ_ONLY) !== 0n,
      ...match.fields,
    }
    const path = partitionPath(disk, partition.number)
    const { number: partitionNumber, name: label } = partition
    instances.push({ type: 'partition', path, fields, state, patternIndex: match.index, partitionNumber, label })
  }
  return { instances, empty }
}

/** Attribute bit 60 (UAPI.2). */
const READ_ONLY = 1n << 60n

/** As the kernel names partitions; those of a disk image have its path and their number. */
export function partitionPath(disk: string, number: number): string {
  if (!disk.startsWith('/dev/')) return `${disk}#${number}`
  return `${disk}${/\d$/.test(disk) ? 'p' : ''}${number}`
}

/** Instances among the lines of a manifest. A hash in a name that is not the file's leaves it out. */
export function manifestInstances(resource: Resource, manifest: readonly ManifestEntry[]): Instance[] {
  const base = resource.path.replace(/[?#].*$/, '').replace(/\/+$/, '')
  return manifest.flatMap(({ name, sha256 }): Instance[] => {
    const match = matchPatterns(resource.patterns, name)
    if (match.fields === undefined) return []
    if (match.fields.sha256 !== undefined && match.fields.sha256 !== sha256) return []
    const fields: PatternFields = { ...match.fields, sha256 }
    const [path, address] = [`${base}/${name}`, addressOf(resource.path, name)]
    return [{ type: resource.type, path, address, fields, state: 'complete', patternIndex: match.index }]
  })
}
