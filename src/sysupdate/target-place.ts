import { realpathSync, statSync } from 'node:fs'
import { type Gpt, parseGpt } from '../formats/index.ts'
import { BootwrightError, openDisk } from '../system/index.ts'
import { type FatPlace, findFatPlace } from './fat-place.ts'
import { resourceDirectory } from './instances.ts'
import { resolveBelow } from './root-path.ts'
import { diskOfDirectory, systemDisk } from './system-disk.ts'
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
  | FatPlace

/** What `PathRelativeTo=` can name beside the root. */
export interface PathBases {
  readonly esp?: string
  readonly xbootldr?: string
  readonly explicit?: string
}

/**
 * Finds the place of a target. Rejects with `UPDATE_REFUSED` where there is none.
 *
 * @param image a disk that is changed in place of the system's; nothing is known of its file systems
 */
export function findTargetPlace(
  target: Resource,
  root: string,
  bases: PathBases,
  image: string | undefined,
): TargetPlace {
  if (image !== undefined) return findPlaceOnImage(target, image)
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

function findPlaceOnImage(target: Resource, image: string): TargetPlace {
  const { type, path, pathRelativeTo } = target
  if (type === 'partition' && path === 'auto') return { kind: 'partitions', disk: image }
  if (type === 'partition') {
    throw refused(`With --image=, the disk is the image: expected Path=auto in [Target], found '${path}'.`)
  }
  if (pathRelativeTo !== 'root') return findFatPlace(target, image, readTable(image).partitions)
  throw new BootwrightError(
    'UPDATE_REFUSED',
    `'${path}' is in the root file system of ${image}, which cannot be changed without mounting it. Mount the image and use --root=.`,
    {
      hint: `systemd-dissect --mount ${image} DIRECTORY, then --root=DIRECTORY. Without mounting it, partitions can be updated, and what is in the EFI or boot partition (PathRelativeTo=).`,
    },
  )
}

/** The disk of a partition target: a block device, a file with a table in it, or what a directory is on. */
function findDisk({ path }: Resource, root: string): string {
  if (path === 'auto') {
    if (root !== '/') throw refused('Block device is not allowed when using --root= mode.')
    const disk = systemDisk()
    if (disk !== undefined) return disk
    throw refused('The running system is on no disk that can be told: name a block device or a disk image in Path=.')
  }
  const found = resolveBelow(root, path)
  const facts = statSync(found, { throwIfNoEntry: false })
  if (facts === undefined) throw refused(`Failed to open '${path}': No such file or directory`)
  if (facts.isFile()) return found
  if (root !== '/') throw refused('Block device is not allowed when using --root= mode.')
  const disk = facts.isBlockDevice() ? realpathSync(found) : facts.isDirectory() ? diskOfDirectory(found) : undefined
  if (disk !== undefined) return disk
  throw refused(`Target path '${path}' does not refer to regular file, directory or block device, refusing.`)
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
