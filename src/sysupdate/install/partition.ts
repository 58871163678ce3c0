import { fsyncSync, writeSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { checkGptName, editGpt, type GptChange, type GptPartition, parseGpt } from '../../formats/index.ts'
import { BootwrightError, type DiskFile, diskFile } from '../../system/index.ts'
import type { PartitionTarget } from '../destination.ts'
import { partitionSink } from '../payload/index.ts'
import { type AcquireOptions, acquirePayload, type Payload, payloadSize } from './payload-source.ts'
import { lockTable } from './target-lock.ts'

const EMPTY = '_empty'
/** Of the Discoverable Partitions Specification. */
const FLAG_BITS = { growFileSystem: 59n, readOnly: 60n, noAuto: 63n } as const

/**
 * Writes a payload into a free slot and leaves it there, whole but invisible to everybody else (pending). Slots that an
 * earlier run has left half-written become free first; one that fails becomes free again.
 *
 * The slot is the smallest that holds the payload, or the largest when its size is not known. Nothing is marked before it
 * is known to fit. Rejects with `UPDATE_LOCKED`, `UPDATE_REFUSED` (no table, no free slot), `NO_SPACE`, and what
 * {@link acquirePayload} says. Gives the number of the partition.
 */
export async function acquirePartition(
  target: PartitionTarget,
  payload: Payload,
  options: AcquireOptions = {},
): Promise<number> {
  checkGptName(target.label)
  await using disk = await openDisk(target.disk)
  for (const { number } of disk.partitions().filter(({ typeGuid }) => typeGuid === target.types.partial)) {
    await disk.change(number, { typeGuid: target.types.own, name: EMPTY })
  }
  const slot = options.keepsPartial
    ? smallestSlot(target, disk.partitions(), payload.size)
    : chooseSlot(target, disk.partitions(), await payloadSize(payload))
  const { number } = slot
  await disk.change(number, { typeGuid: target.types.partial, name: target.label })
  try {
    const name = `partition ${number} of ${target.disk}`
    const { offset, size } = slot
    await using sink = await partitionSink(disk.file, { ...options, offset, size, name })
    await acquirePayload(payload, sink, options)
  } catch (error) {
    if (options.keepsPartial !== true) await disk.change(number, { typeGuid: target.types.own, name: EMPTY })
    throw error
  }
  await disk.change(number, {
    typeGuid: target.types.pending,
    attributes: attributesOf(target, slot.attributes),
    ...(target.uuid === undefined ? {} : { partitionGuid: target.uuid }),
  })
  return number
}

/**
 * Makes a slot valid that {@link acquirePartition} has filled. One that is valid already stays as it is.
 *
 * @param pendingLabel the label that it got when it was acquired, should that have been another one
 */
export async function installPartition(
  target: PartitionTarget,
  options: { readonly pendingLabel?: string | undefined } = {},
): Promise<number> {
  await using disk = await openDisk(target.disk)
  const waiting = disk.partitions().filter(({ typeGuid }) => typeGuid === target.types.pending)
  const named = disk.partitions().filter(({ name }) => name === target.label)
  const pending = waiting.find(({ name }) => name === (options.pendingLabel ?? target.label))
  if (pending !== undefined) {
    await disk.change(pending.number, { typeGuid: target.types.own, name: target.label })
    return pending.number
  }
  const installed = named.find(({ typeGuid }) => typeGuid === target.types.own)
  if (installed !== undefined) return installed.number
  throw new BootwrightError(
    'UPDATE_REFUSED',
    `${target.disk} has no partition "${target.label}" that waits to be made valid`,
    {
      hint: 'Acquire the update again.',
    },
  )
}

/** Makes a slot free: what was in it stays, but is nothing any more. */
export async function freePartition(disk: string, number: number, types: PartitionTarget['types']): Promise<void> {
  await using opened = await openDisk(disk)
  const slot = opened.partitions().find((one) => one.number === number)
  if (slot === undefined) return
  const isUnfinished = slot.typeGuid === types.partial || slot.typeGuid === types.pending
  await opened.change(number, { name: EMPTY, ...(isUnfinished ? { typeGuid: types.own } : {}) })
}

/** As systemd 262 chooses: the smallest of all when nobody has told the size. */
function smallestSlot(target: PartitionTarget, all: readonly GptPartition[], size = 0): GptPartition {
  const bySize = freeSlots(target, all).toSorted((a, b) => a.size - b.size)
  const slot = bySize.find((candidate) => candidate.size >= size)
  if (slot !== undefined) return slot
  throw new BootwrightError('UPDATE_REFUSED', 'No available partition of a suitable size found.')
}

function freeSlots(target: PartitionTarget, all: readonly GptPartition[]): readonly GptPartition[] {
  return all.filter(({ typeGuid, name }) => typeGuid === target.types.own && name === EMPTY)
}

function chooseSlot(target: PartitionTarget, all: readonly GptPartition[], size: number | undefined): GptPartition {
  const bySize = freeSlots(target, all).toSorted((a, b) => a.size - b.size)
  const largest = bySize.at(-1)
  if (largest === undefined) {
    throw new BootwrightError('UPDATE_REFUSED', `${target.disk} has no free partition of type ${target.types.own}`, {
      hint: `Slots are made by systemd-repart and called "${EMPTY}"; vacuum frees those of old versions that are not protected.`,
    })
  }
  if (size === undefined) return largest
  const slot = bySize.find((candidate) => candidate.size >= size)
  if (slot !== undefined) return slot
  throw new BootwrightError(
    'NO_SPACE',
    `"${target.label}" has ${size} bytes, and the largest free partition of ${target.disk} has ${largest.size}`,
    { hint: 'Release something smaller, or make the partitions larger.' },
  )
}

/** Single flags go before all of them together. */
function attributesOf(target: PartitionTarget, current: bigint): bigint {
  let flags = target.flags ?? current
  for (const [name, bit] of Object.entries(FLAG_BITS) as [keyof typeof FLAG_BITS, bigint][]) {
    const wanted = target[name]
    if (wanted !== undefined) flags = wanted ? flags | (1n << bit) : flags & ~(1n << bit)
  }
  return flags
}

interface Disk extends AsyncDisposable {
  readonly file: FileHandle
  partitions(): readonly GptPartition[]
  /** Every piece of the table is on the disk before the next one is written. */
  change(partitionNumber: number, change: GptChange): Promise<void>
}

async function openDisk(path: string): Promise<Disk> {
  const file = await open(path, 'r+').catch((cause: NodeJS.ErrnoException) => {
    throw new BootwrightError('UPDATE_REFUSED', `Cannot open the disk ${path}: ${cause.code}`, { cause })
  })
  const { fd } = file
  const reader = diskFile(fd)
  try {
    readTable(path, reader)
  } catch (error) {
    await file.close()
    throw error
  }
  return {
    file,
    partitions: () => readTable(path, reader),
    async change(partitionNumber, change) {
      // Of its own, so that the lock ends with the change.
      await using locked = await open(path, 'r+')
      await lockTable(locked.fd, path)
      for (const { offset, bytes } of editGpt(reader, partitionNumber, change)) {
        for (let at = 0; at < bytes.byteLength; ) at += writeSync(fd, bytes, at, bytes.byteLength - at, offset + at)
        fsyncSync(fd)
      }
    },
    [Symbol.asyncDispose]: () => file.close(),
  }
}

function readTable(path: string, reader: DiskFile): readonly GptPartition[] {
  try {
    return parseGpt(reader).partitions
  } catch (cause) {
    if (!(cause instanceof BootwrightError) || cause.code !== 'MALFORMED_INPUT') throw cause
    throw new BootwrightError('UPDATE_REFUSED', `${path} has no GUID partition table: ${cause.message}`, {
      cause,
      hint: 'Only disks with a GPT can be updated.',
    })
  }
}
