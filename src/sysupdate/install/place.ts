import { closeSync, constants, fsyncSync, mkdirSync, openSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { asHostError, BootwrightError, openBelow } from '../../system/index.ts'
import { checkFileName, type FileTarget } from '../destination.ts'
import type { RunLock } from './target-lock.ts'

const DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY

/** The directory that a file belongs in, open. */
export interface Place extends Disposable {
  /** By way of the open directory, wherever that is by now. */
  path(prefix: string): string
  sync(): void
  /**
   * The same after a file was given the name with this prefix. On FAT a name has the size and the place of its file only when the file
   * itself was written since: the directory alone would have an empty one on the disk.
   */
  syncRenamed(prefix: string): void
}

/** Opens the directory of a file, and makes what is missing of it, without following a link below the target's directory. */
export function openPlace(
  target: Pick<FileTarget, 'root' | 'directory' | 'links' | 'name'>,
  { lock, isSynced = true }: { readonly lock?: RunLock | undefined; readonly isSynced?: boolean | undefined } = {},
): Place {
  checkFileName(target.name)
  const held: number[] = []
  const hold = (fd: number): number => {
    held.push(fd)
    return fd
  }
  const release = (): void => {
    for (const fd of held.splice(0)) closeSync(fd)
  }
  try {
    const root = hold(openSync(target.root, DIRECTORY))
    const directory = hold(descend(root, target.directory, target.links ?? 'inside'))
    lock?.holdDirectory(`/proc/self/fd/${directory}`, target.directory)
    const parent = dirname(target.name)
    const last = parent === '.' ? directory : hold(descend(directory, parent, 'strict'))
    const path = (prefix: string): string => `/proc/self/fd/${last}/${prefix}${basename(target.name)}`
    const sync = (): void => {
      if (isSynced) fsyncSync(last)
    }
    return {
      path,
      sync,
      syncRenamed(prefix) {
        if (!isSynced) return
        const file = openSync(path(prefix), constants.O_RDONLY | constants.O_NOFOLLOW)
        try {
          fsyncSync(file)
        } finally {
          closeSync(file)
        }
        sync()
      },
      [Symbol.dispose]: release,
    }
  } catch (error) {
    release()
    throw refusedLink(error, target) ?? asHostError(error)
  }
}

/** Opens a directory below another one, and makes what is missing of it. */
function descend(from: number, path: string, links: 'inside' | 'strict'): number {
  const parts = path.split('/').filter((part) => part !== '')
  let parent = openSync(`/proc/self/fd/${from}`, DIRECTORY)
  for (let count = 1; count <= parts.length; count++) {
    try {
      const walked = parts.slice(0, count).join('/')
      let next = openBelow(from, walked, { flags: DIRECTORY, links })
      if (next === undefined) {
        mkdirSync(`/proc/self/fd/${parent}/${parts[count - 1]}`, 0o755)
        fsyncSync(parent)
        next = openBelow(from, walked, { flags: DIRECTORY, links })
      }
      if (next === undefined) throw new BootwrightError('UPDATE_REFUSED', `${walked} disappears while it is made`)
      closeSync(parent)
      parent = next
    } catch (error) {
      closeSync(parent)
      throw error
    }
  }
  return parent
}

function refusedLink(error: unknown, target: Pick<FileTarget, 'name' | 'directory'>): BootwrightError | undefined {
  const code = error instanceof BootwrightError ? (error.cause as NodeJS.ErrnoException | undefined)?.code : undefined
  if (code !== 'ELOOP' && code !== 'EXDEV') return undefined
  return new BootwrightError('UPDATE_REFUSED', `A link is on the way to ${target.name} in ${target.directory}`, {
    cause: error,
    hint: 'Links are not followed below the directory of a target: remove it.',
  })
}
