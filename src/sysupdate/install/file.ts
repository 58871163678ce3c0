import { closeSync, constants, fsyncSync, mkdirSync, openSync, renameSync, rmSync, statfsSync } from 'node:fs'
import { chmod, lstat, open } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import { asHostError, BootwrightError, openBelow } from '../../system/index.ts'
import { sparseFileSink } from '../payload/sink.ts'
import { type AcquireOptions, acquirePayload, MAX_PAYLOAD_BYTES, type Payload } from './payload-source.ts'
import { lockTarget } from './target-lock.ts'

export interface FileTarget {
  /** What paths are resolved below; links in `directory` are taken as they are meant there. */
  readonly root: string
  readonly directory: string
  /** Below the directory; may contain slashes. No link is followed from there on. */
  readonly name: string
  readonly mode?: number | undefined
  /** When it was changed last; the server's word without. */
  readonly modifiedAt?: Date | undefined
  readonly readOnly?: boolean | undefined
}

const [PARTIAL, PENDING] = ['.sysupdate.partial.', '.sysupdate.pending.']
const DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY
const WRITE_BITS = 0o222

/**
 * Writes a payload beside its final name and leaves it there, whole and on the disk (pending). What an earlier run has
 * left half-written is replaced; what fails is removed. Rejects with `UPDATE_LOCKED`, `UPDATE_REFUSED` (a name or a link
 * that leads elsewhere), `NO_SPACE`, and what {@link acquirePayload} says.
 */
export async function acquireFile(target: FileTarget, payload: Payload, options: AcquireOptions = {}): Promise<void> {
  using place = openPlace(target)
  const partial = place.path(PARTIAL)
  checkRoom(place.path(''), target, payload.size)
  rmSync(partial, { force: true, recursive: true })
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
  await using file = await open(partial, flags, 0o664)
  try {
    const sink = sparseFileSink(file, { maxBytes: MAX_PAYLOAD_BYTES, name: target.name })
    const { lastModified } = await acquirePayload(payload, sink, options)
    if (target.mode !== undefined) await file.chmod(target.mode)
    const modified = target.modifiedAt ?? lastModified
    if (modified !== undefined) await file.utimes(modified, modified)
    await file.sync()
    place.sync()
    renameSync(partial, place.path(PENDING))
    place.sync()
  } catch (error) {
    rmSync(partial, { force: true })
    place.sync()
    throw asHostError(error, `Cannot write ${target.name}`)
  }
}

/** Gives a file that {@link acquireFile} has left its final name. One that has it already stays as it is. */
export async function installFile(target: FileTarget): Promise<void> {
  using place = openPlace(target)
  const [pending, final] = [place.path(PENDING), place.path('')]
  const [waiting, present] = await Promise.all([kindOf(pending), kindOf(final)])
  if (present === 'directory') {
    throw new BootwrightError('UPDATE_REFUSED', `A directory is where ${target.name} should be`, {
      hint: 'Move it away.',
    })
  }
  if (waiting !== 'file') {
    if (waiting === undefined && present === 'file') return
    throw new BootwrightError('UPDATE_REFUSED', `${target.name} does not wait to be installed`, {
      hint: 'Acquire the update again.',
    })
  }
  // A link that was put there is replaced, not followed.
  renameSync(pending, final)
  if (target.readOnly === true) await chmod(final, (await lstat(final)).mode & 0o7777 & ~WRITE_BITS)
  place.sync()
}

async function kindOf(path: string): Promise<'file' | 'directory' | 'other' | undefined> {
  const stat = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (stat === undefined) return undefined
  return stat.isFile() ? 'file' : stat.isDirectory() ? 'directory' : 'other'
}

/** The directory that a file belongs in, open and locked. */
interface Place extends Disposable {
  /** By way of the open directory, wherever that is by now. */
  path(prefix: string): string
  sync(): void
}

function openPlace(target: FileTarget): Place {
  checkName(target.name)
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
    const directory = hold(descend(root, target.directory, 'inside'))
    lockTarget(directory, target.directory)
    const parent = dirname(target.name)
    const last = parent === '.' ? directory : hold(descend(directory, parent, 'strict'))
    return {
      path: (prefix) => `/proc/self/fd/${last}/${prefix}${basename(target.name)}`,
      sync: () => fsyncSync(last),
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

function checkName(name: string): void {
  const parts = name.split('/')
  if (!name.includes('\0') && parts.every((part) => part !== '' && part !== '.' && part !== '..')) return
  throw new BootwrightError('UPDATE_REFUSED', `"${name}" is no name below its directory`, {
    hint: 'Correct MatchPattern= of the target.',
  })
}

function refusedLink(error: unknown, target: FileTarget): BootwrightError | undefined {
  const code = error instanceof BootwrightError ? (error.cause as NodeJS.ErrnoException | undefined)?.code : undefined
  if (code !== 'ELOOP' && code !== 'EXDEV') return undefined
  return new BootwrightError('UPDATE_REFUSED', `A link is on the way to ${target.name} in ${target.directory}`, {
    cause: error,
    hint: 'Links are not followed below the directory of a target: remove it.',
  })
}

function checkRoom(place: string, target: FileTarget, size: number | undefined): void {
  if (size === undefined) return
  const { bavail, bsize } = statfsSync(dirname(place))
  if (bavail * bsize >= size) return
  throw new BootwrightError(
    'NO_SPACE',
    `${target.name} has ${size} bytes, and ${target.directory} has room for ${bavail * bsize}`,
    { hint: 'Vacuum old versions, or make the file system larger.' },
  )
}
