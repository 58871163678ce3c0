import { realpathSync, statSync } from 'node:fs'
import { type Gpt, parseGpt } from '../formats/index.ts'
import { BootwrightError, openDisk } from '../system/index.ts'
import { resourceDirectory } from './instances.ts'
import { resolveBelow } from './root-path.ts'
import type { Resource } from './types.ts'

/** Where the instances of a target are. */
export type TargetPlace =
  | {
      readonly kind: 'files'
      /** What `directory` is resolved below, links and all, or without any. */
      readonly root: string
      readonly directory: string
      readonly links: 'inside' | 'strict'
      /** The same, resolved. */
      readonly path: string
    }
  | { readonly kind: 'partitions'; readonly disk: string }

/** What `PathRelativeTo=` can name beside the root. */
export interface PathBases {
  readonly esp?: string
  readonly xbootldr?: string
  readonly explicit?: string
}

/** Finds the place of a target. Rejects with `UPDATE_REFUSED` where there is none. */
export function findTargetPlace(target: Resource, root: string, bases: PathBases): TargetPlace {
  if (target.type === 'partition') return { kind: 'partitions', disk: findDisk(target, root) }
  const path = directoryOf(target, root, bases)
  const { pathRelativeTo, path: directory } = target
  if (pathRelativeTo === 'root') return { kind: 'files', root, directory, links: 'inside', path }
  const base = pathRelativeTo === 'esp' ? bases.esp : (bases.xbootldr ?? bases.esp)
  return { kind: 'files', root: base ?? root, directory, links: 'strict', path }
}

/** The directory of a source or target. */
export function directoryOf(resource: Resource, root: string, bases: PathBases): string {
  const directory = resourceDirectory(resource, root, bases)
  if (directory !== undefined) return directory
  throw new BootwrightError('UPDATE_REFUSED', 'Failed to resolve $BOOT', {
    hint: 'SYSTEMD_ESP_PATH and SYSTEMD_XBOOTLDR_PATH say where the EFI and boot partitions are mounted.',
  })
}

/** The disk of a partition target: a block device, or a file with a table in it. */
function findDisk({ path }: Resource, root: string): string {
  const shown = path === 'auto' ? 'The disk of the running system' : path
  if (path !== 'auto') {
    const found = resolveBelow(root, path)
    const facts = statSync(found, { throwIfNoEntry: false })
    if (facts?.isFile() === true) return found
    if (facts?.isBlockDevice() === true && root === '/') return realpathSync(found)
    if (facts === undefined) throw refused(`Failed to open '${path}': No such file or directory`)
    if (facts.isBlockDevice()) throw refused('Block device is not allowed when using --root= mode.')
  }
  throw refused(`${shown} cannot be found from here: name a block device or a disk image in Path=`)
}

/** The partition table of a disk as it is now. Rejects with `UPDATE_REFUSED` where there is none. */
export function readTable(path: string): Pick<Gpt, 'partitions'> {
  using disk = openDisk(path)
  try {
    return parseGpt(disk)
  } catch (cause) {
    if (!(cause instanceof BootwrightError) || cause.code !== 'MALFORMED_INPUT') throw cause
    const isNone = cause.message.includes('EFI PART')
    throw refused(
      isNone
        ? `Disk ${path} has no GPT disk label, not suitable.`
        : `Disk ${path} has a damaged GPT disk label, not suitable: ${cause.message}`,
      cause,
    )
  }
}

function refused(message: string, cause?: unknown): BootwrightError {
  return new BootwrightError('UPDATE_REFUSED', message, { cause, hint: 'sysupdate.d(5), Path= of [Target].' })
}
