import {
  chmodSync,
  closeSync,
  constants,
  fsyncSync,
  lstatSync,
  openSync,
  readdirSync,
  rmdirSync,
  rmSync,
} from 'node:fs'
import { basename, dirname } from 'node:path'
import { deleteSubvolume, isSubvolume, openBelow, setImmutable, setSubvolumeReadOnly } from '../../system/index.ts'

const DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY
const TEMPORARY = /^(?:\.#|\.sysupdate\.partial\.)/

/**
 * Removes a file or directory below a directory, with all that is in it, then the directories on the way that are empty by
 * now. No link is followed. What is not there is removed already.
 *
 * @param options.isSynced whether it is gone from the disk when this returns; yes without
 */
export function removeBelow(
  directory: string,
  name: string,
  { isSynced = true }: { readonly isSynced?: boolean } = {},
): void {
  const top = openDirectory(directory)
  if (top === undefined) return
  try {
    for (let path = name, isFirst = true; path !== '.'; path = dirname(path), isFirst = false) {
      const parent = openBelow(top, dirname(path), { flags: DIRECTORY, links: 'strict' })
      if (parent === undefined) continue
      try {
        const shown = `/proc/self/fd/${parent}/${basename(path)}`
        if (isFirst) removeTree(shown)
        else rmdirSync(shown)
        if (isSynced) fsyncSync(parent)
      } catch (error) {
        if (isFirst) throw error
        // Something else is in it.
        return
      } finally {
        closeSync(parent)
      }
    }
  } finally {
    closeSync(top)
  }
}

/** Removes what runs that were ended have left in a directory; gives the names. */
export function removeTemporary(directory: string): readonly string[] {
  const top = openDirectory(directory)
  if (top === undefined) return []
  try {
    const names = readdirSync(`/proc/self/fd/${top}`).filter((name) => TEMPORARY.test(name))
    for (const name of names) removeTree(`/proc/self/fd/${top}/${name}`)
    return names
  } finally {
    closeSync(top)
  }
}

function openDirectory(path: string): number | undefined {
  try {
    return openSync(path, DIRECTORY)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/**
 * Removes a tree. Where a directory cannot be written to, by its mode, because it is immutable or a read-only subvolume, that is
 * ended first.
 */
export function removeTree(path: string): void {
  if (isSubvolume(path) && isDeleted(path)) return
  try {
    rmSync(path, { recursive: true, force: true })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'EACCES' && code !== 'EPERM' && code !== 'EROFS') throw error
    unlockDirectories(path)
    rmSync(path, { recursive: true, force: true })
  }
}

/** A subvolume that holds others is emptied as any directory is. */
function isDeleted(path: string): boolean {
  try {
    deleteSubvolume(path)
    return true
  } catch {
    return false
  }
}

function unlockDirectories(path: string): void {
  if (!lstatSync(path).isDirectory()) return
  try {
    if (isSubvolume(path)) setSubvolumeReadOnly(path, false)
    setImmutable(path, false)
  } catch {
    // The file system has no such flag, or it is not ours to take away: removing says so.
  }
  chmodSync(path, 0o700)
  for (const name of readdirSync(path)) unlockDirectories(`${path}/${name}`)
}
