import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  utimesSync,
} from 'node:fs'
import { dirname } from 'node:path'
import {
  asHostError,
  BootwrightError,
  isOnBtrfs,
  isSubvolume,
  makeSubvolume,
  run,
  snapshotSubvolume,
  syncFileSystem,
} from '../../system/index.ts'
import type { FileTarget } from '../destination.ts'
import { programSink } from '../payload/index.ts'
import { PARTIAL, PENDING } from './names.ts'
import { type AcquireOptions, acquirePayload, MAX_PAYLOAD_BYTES, type Payload } from './payload-source.ts'
import { openPlace } from './place.ts'
import { removeTree } from './remove.ts'

/** A directory as it is, or one that an archive holds. */
export type Tree = { readonly directory: string } | { readonly archive: Payload }

/**
 * Makes a directory beside its final name and leaves it there, whole and on the disk (pending): the copy of another one, or
 * what is in a tar archive, which nobody else can look into before its hash is known to be right. What an earlier run has left is
 * replaced, what fails is removed. Rejects as {@link acquireFile} does.
 */
export async function acquireDirectory(target: FileTarget, tree: Tree, options: AcquireOptions = {}): Promise<void> {
  using place = openPlace(target, options)
  const partial = place.path(PARTIAL)
  removeTree(partial)
  mkdirSync(partial, 0o700)
  try {
    // Programs see the directory by its own path: the descriptor is ours.
    const made = `${readlinkSync(dirname(partial))}/${partial.slice(dirname(partial).length + 1)}/tree`
    await make(made, tree, target, options)
    const top = 'directory' in tree ? made : systemTree(made)
    if (target.mode !== undefined) chmodSync(top, target.mode)
    if (target.mtimeUs !== undefined) utimesSync(top, Number(target.mtimeUs) / 1e6, Number(target.mtimeUs) / 1e6)
    if (options.isSynced !== false) syncFileSystem(top)
    const pending = place.path(PENDING)
    removeTree(pending)
    renameSync(top, pending)
    removeTree(partial)
    place.sync()
  } catch (error) {
    if (options.keepsPartial !== true) removeTree(partial)
    throw asHostError(error, `Cannot make ${target.name}`)
  }
}

/** A subvolume is a snapshot of its source where both are of one file system, and a plain directory where there are none. */
async function make(path: string, tree: Tree, target: FileTarget, options: AcquireOptions): Promise<void> {
  const hasSubvolumes = target.isSubvolume === true && isOnBtrfs(dirname(path))
  if (hasSubvolumes && 'directory' in tree && takesSnapshot(tree.directory, path)) return
  if (hasSubvolumes) makeSubvolume(path)
  else mkdirSync(path, 0o755)
  if ('directory' in tree) await copyTree(tree.directory, path, options)
  else await unpack(tree.archive, path, target.name, options)
}

function takesSnapshot(from: string, path: string): boolean {
  if (!isSubvolume(from)) return false
  try {
    snapshotSubvolume(from, path)
    return true
  } catch (error) {
    if (error instanceof BootwrightError && (error.cause as NodeJS.ErrnoException).code === 'EXDEV') return false
    throw error
  }
}

async function copyTree(from: string, to: string, { signal }: AcquireOptions): Promise<void> {
  const how = ['--archive', '--reflink=auto', '--one-file-system', '--no-target-directory']
  await run({ argv: ['cp', ...how, '--', from, to] }, { signal })
}

async function unpack(archive: Payload, to: string, name: string, options: AcquireOptions): Promise<void> {
  const how = ['--numeric-owner', '--same-permissions', '--delay-directory-restore', '--xattrs', '--xattrs-include=*']
  const argv = ['tar', '--extract', '--file=-', `--directory=${to}`, ...how] as const
  await using sink = programSink(argv as unknown as [string, ...string[]], { maxBytes: MAX_PAYLOAD_BYTES, name })
  await acquirePayload(archive, sink, options)
}

/** An archive with nothing but one directory that is a system stands for that system. */
function systemTree(directory: string): string {
  const names = readdirSync(directory)
  const only = `${directory}/${names[0]}`
  if (names.length !== 1 || !lstatSync(only).isDirectory() || !isSystem(only)) return directory
  if (!isSubvolume(directory)) return only
  hoist(only, directory)
  return directory
}

/** Puts all that a directory holds in the place of the directory itself: it has to stay the subvolume that it is in. */
function hoist(only: string, directory: string): void {
  const { mode, uid, gid, atime, mtime } = lstatSync(only)
  const aside = `${directory}/${PARTIAL}`
  renameSync(only, aside)
  for (const name of readdirSync(aside)) renameSync(`${aside}/${name}`, `${directory}/${name}`)
  rmdirSync(aside)
  chownSync(directory, uid, gid)
  chmodSync(directory, mode & 0o7777)
  utimesSync(directory, atime, mtime)
}

function isSystem(directory: string): boolean {
  return ['etc/os-release', 'usr/lib/os-release'].some((path) => existsSync(`${directory}/${path}`))
}
