import { constants, renameSync, rmSync, statfsSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { dirname } from 'node:path'
import { asHostError, BootwrightError } from '../../system/index.ts'
import type { FileTarget } from '../destination.ts'
import { sparseFileSink } from '../payload/index.ts'
import { PARTIAL, PENDING } from './names.ts'
import { type AcquireOptions, acquirePayload, MAX_PAYLOAD_BYTES, type Payload, payloadSize } from './payload-source.ts'
import { openPlace } from './place.ts'

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
    place.syncRenamed(PENDING)
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
