import { constants, renameSync, rmSync, statfsSync } from 'node:fs'
import { chmod, type FileHandle, lstat, open } from 'node:fs/promises'
import { dirname } from 'node:path'
import { asHostError, BootwrightError } from '../../system/index.ts'
import type { FileTarget } from '../destination.ts'
import { sparseFileSink } from '../payload/index.ts'
import { type AcquireOptions, acquirePayload, MAX_PAYLOAD_BYTES, type Payload, payloadSize } from './payload-source.ts'
import { openPlace } from './place.ts'

/** What names of files begin with that are half written, or not valid yet. */
export const [PARTIAL, PENDING] = ['.sysupdate.partial.', '.sysupdate.pending.']
const WRITE_BITS = 0o222

/**
 * Writes a payload beside its final name and leaves it there, whole and on the disk (pending). What an earlier run has
 * left half-written is replaced; what fails is removed. Rejects with `UPDATE_LOCKED`, `UPDATE_REFUSED` (a name or a link
 * that leads elsewhere), `NO_SPACE`, and what {@link acquirePayload} says.
 */
export async function acquireFile(target: FileTarget, payload: Payload, options: AcquireOptions = {}): Promise<void> {
  using place = openPlace(target, options)
  const partial = place.path(PARTIAL)
  const room = checkRoom(place.path(''), target, await payloadSize(payload))
  rmSync(partial, { force: true, recursive: true })
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
  await using file = await open(partial, flags, 0o664)
  try {
    const sink = sparseFileSink(file, { ...options, maxBytes: Math.min(MAX_PAYLOAD_BYTES, room), name: target.name })
    const { lastModified } = await acquirePayload(payload, sink, options)
    await setFacts(file, target, lastModified)
    if (options.isSynced !== false) await file.sync()
    place.sync()
    renameSync(partial, place.path(PENDING))
    place.sync()
  } catch (error) {
    if (options.keepsPartial !== true) rmSync(partial, { force: true })
    place.sync()
    throw asHostError(error, `Cannot write ${target.name}`)
  }
}

async function setFacts(file: FileHandle, target: FileTarget, lastModified: Date | undefined): Promise<void> {
  const mode = target.mode ?? (target.readOnly === true ? (await file.stat()).mode : undefined)
  if (mode !== undefined) await file.chmod(mode & 0o7777 & (target.readOnly === true ? ~WRITE_BITS : ~0))
  const modified = target.mtimeUs === undefined ? lastModified : Number(target.mtimeUs) / 1e6
  if (modified !== undefined) await file.utimes(modified, modified)
}

/**
 * Gives a file that {@link acquireFile} has left its final name. One that has it already stays as it is.
 *
 * @param pendingName the final name that it was to have when it was acquired, should that have been another one
 */
export async function installFile(
  target: FileTarget,
  options: Pick<AcquireOptions, 'lock' | 'isSynced'> & { readonly pendingName?: string | undefined } = {},
): Promise<void> {
  using place = openPlace(target, options)
  using before = openPlace({ ...target, name: options.pendingName ?? target.name }, options)
  const [pending, final] = [before.path(PENDING), place.path('')]
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
  if (target.readOnly === true) await chmod(pending, (await lstat(pending)).mode & 0o7777 & ~WRITE_BITS)
  // A link that was put there is replaced, not followed.
  renameSync(pending, final)
  place.sync()
}

export async function kindOf(path: string): Promise<'file' | 'directory' | 'other' | undefined> {
  const stat = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (stat === undefined) return undefined
  return stat.isFile() ? 'file' : stat.isDirectory() ? 'directory' : 'other'
}

/** How many bytes there is room for. */
function checkRoom(place: string, target: FileTarget, size = 0): number {
  const { bavail, bsize } = statfsSync(dirname(place))
  if (bavail * bsize >= size) return bavail * bsize
  throw new BootwrightError(
    'NO_SPACE',
    `${target.name} has ${size} bytes, and ${target.directory} has room for ${bavail * bsize}`,
    { hint: 'Vacuum old versions, or make the file system larger.' },
  )
}
