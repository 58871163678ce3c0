import { chmodSync, existsSync, lstatSync, mkdirSync, readdirSync, readlinkSync, renameSync, utimesSync } from 'node:fs'
import { dirname } from 'node:path'
import { asHostError, BootwrightError, run, setImmutable, syncFileSystem } from '../../system/index.ts'
import type { FileTarget } from '../destination.ts'
import { programSink } from '../payload/index.ts'
import { kindOf, PARTIAL, PENDING } from './file.ts'
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
    mkdirSync(made, 0o755)
    if ('directory' in tree) await copyTree(tree.directory, made)
    else await unpack(tree.archive, made, target.name, options)
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

/**
 * Gives a directory that {@link acquireDirectory} has left its final name, and makes it read-only then: one that cannot be changed
 * cannot be renamed either.
 */
export async function installDirectory(
  target: FileTarget,
  options: Pick<AcquireOptions, 'lock' | 'isSynced'> & { readonly pendingName?: string | undefined } = {},
): Promise<void> {
  using place = openPlace(target, options)
  using before = openPlace({ ...target, name: options.pendingName ?? target.name }, options)
  const [pending, final] = [before.path(PENDING), place.path('')]
  const [waiting, present] = await Promise.all([kindOf(pending), kindOf(final)])
  if (waiting !== 'directory') {
    if (waiting === undefined && present === 'directory') return
    throw new BootwrightError('UPDATE_REFUSED', `${target.name} does not wait to be installed`, {
      hint: 'Acquire the update again.',
    })
  }
  if (present !== undefined) {
    throw new BootwrightError('UPDATE_REFUSED', `Something else is where the directory ${target.name} should be`, {
      hint: 'Move it away.',
    })
  }
  renameSync(pending, final)
  if (target.readOnly === true) setImmutable(final, true)
  place.sync()
}

async function copyTree(from: string, to: string): Promise<void> {
  const how = ['--archive', '--reflink=auto', '--one-file-system', '--no-target-directory']
  await run({ argv: ['cp', ...how, '--', from, to] })
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
  return only
}

function isSystem(directory: string): boolean {
  return ['etc/os-release', 'usr/lib/os-release'].some((path) => existsSync(`${directory}/${path}`))
}
