import { createHash, type Hash } from 'node:crypto'
import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'

/**
 * What an input can change: everything, or only what comes after mkosi has cached the installed packages, so that the
 * cache stays good.
 */
export type InputReach = 'all' | 'late'

/** One file, directory or link that a build reads. */
interface InputEntry {
  /** Relative to the tree, with its name in front: the same in every checkout. */
  readonly path: string
  readonly reach: InputReach
  /** Type, mode and content, hashed. */
  readonly digest: string
}

/** The entries of mkosi's that are copied into an image or run after its packages were installed. */
const LATE = /^mkosi\.(?:build|extra|repart|finalize|postinst|postoutput|uki-profiles|credentials)(?:\.|$)/

/** Entries whose every file ends up in the image or in its package manager, whatever its name. */
const CONTENT = /^mkosi\.(?:extra|skeleton|sandbox|packages|volatile-packages|credentials|repart|sysupdate)(?:\.|$)/

/** What mkosi writes beside the configuration when it is started by hand. */
const PRODUCED =
  /^(?:\.mkosi-private|mkosi\.(?:output|builddir|cache|pkgcache|workspace|tools|tools\..*(?<!conf)|history))$/

/** What editors and version control leave beside files. mkosi does not read it as configuration. */
const LEFTOVER = /^(?:\.git|\.DS_Store|\.#.*|#.*#|\..*\.sw.|.*(?:~|\.orig|\.rej|\.bak))$/

export interface TreeOptions {
  /** Only entries of the top directory whose name matches. */
  readonly only?: RegExp
  /** The tree is copied into the image as it is. */
  readonly isContent?: boolean
  readonly reach?: InputReach
}

/**
 * Hashes a tree of configuration: names, content, link targets and modes, but no times and no owners. Of configuration
 * only the executable bit counts, because the rest follows the umask; of files that go into an image the whole mode does.
 */
export function hashTree(name: string, root: string, options: TreeOptions = {}): TreeHash {
  const all = createHash('sha256')
  const early = createHash('sha256')
  let count = 0
  for (const entry of entriesBelow(name, root, options)) {
    count++
    add(all, entry)
    if (entry.reach === 'all') add(early, entry)
  }
  return { digest: all.digest('hex'), earlyDigest: early.digest('hex'), entries: count }
}

/** The hash of a tree. */
export interface TreeHash {
  readonly digest: string
  /** Without what cannot reach the installed packages. */
  readonly earlyDigest: string
  readonly entries: number
}

function* entriesBelow(name: string, root: string, options: TreeOptions): Generator<InputEntry> {
  const { only, isContent = false, reach = 'all' } = options
  if (!isDirectory(root)) {
    yield { path: name, reach, digest: digestOf(root, isContent) }
    return
  }
  for (const entry of readdirSync(root).sort()) {
    if (only !== undefined && !only.test(entry)) continue
    if (!isContent && (PRODUCED.test(entry) || LEFTOVER.test(entry))) continue
    const path = `${name}/${entry}`
    const file = join(root, entry)
    const entryIsContent = isContent || CONTENT.test(entry)
    const entryReach = reach === 'late' || (!isContent && LATE.test(entry)) ? 'late' : 'all'
    yield { path, reach: entryReach, digest: digestOf(file, entryIsContent) }
    if (isDirectory(file)) yield* entriesBelow(path, file, { isContent: entryIsContent, reach: entryReach })
  }
}

function digestOf(file: string, isContent: boolean): string {
  const facts = lstatSync(file)
  const hash = createHash('sha256')
  const mode = facts.mode & 0o7777
  if (facts.isSymbolicLink()) return hash.update(`link\0${readlinkSync(file)}`).digest('hex')
  if (facts.isDirectory()) return hash.update(`directory\0${isContent ? mode : ''}`).digest('hex')
  if (!facts.isFile()) return hash.update(`special\0${facts.mode}\0${facts.rdev}`).digest('hex')
  hash.update(`file\0${isContent ? mode : (mode & 0o111) !== 0}\0`)
  return hash.update(readFileSync(file)).digest('hex')
}

function isDirectory(path: string): boolean {
  return lstatSync(path).isDirectory()
}

function add(hash: Hash, entry: InputEntry): void {
  hash.update(entry.path).update('\0').update(entry.digest).update('\0')
}
