import { fsyncSync, writeSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { checkGptName, editGpt, type GptChange, type GptPartition, parseGpt } from '../../formats/index.ts'
import { BootwrightError, type DiskFile, diskFile } from '../../system/index.ts'
import { partitionSink } from '../payload/sink.ts'
import { type AcquireOptions, acquirePayload, type Payload } from './payload-source.ts'
import { lockTarget } from './target-lock.ts'

/** A slot to fill: one of the partitions of a type that are called `_empty`. */
export interface PartitionTarget {
  /** Block device, or a file that is the image of a disk. */
  readonly disk: string
  /** UUIDs of the type, and of what is derived from it for a slot that is being written or not valid yet. */
  readonly types: { readonly own: string; readonly partial: string; readonly pending: string }
  readonly label: string
  readonly uuid?: string | undefined
  /** All 64 of them; those below change single ones. What is absent stays as it is. */
  readonly flags?: bigint | undefined
  readonly noAuto?: boolean | undefined
  readonly readOnly?: boolean | undefined
  readonly growFileSystem?: boolean | undefined
}

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
    disk.change(number, { typeGuid: target.types.own, name: EMPTY })
  }
  const slot = chooseSlot(target, disk.partitions(), payload.size)
  const { number } = slot
  disk.change(number, { typeGuid: target.types.partial, name: target.label })
  try {
    const name = `partition ${number} of ${target.disk}`
    await acquirePayload(payload, partitionSink(disk.file, { offset: slot.offset, size: slot.size, name }), options)
  } catch (error) {
    disk.change(number, { typeGuid: target.types.own, name: EMPTY })
    throw error
  }
  disk.change(number, {
    typeGuid: target.types.pending,
    attributes: attributesOf(target, slot.attributes),
    ...(target.uuid === undefined ? {} : { partitionGuid: target.uuid }),
  })
  return number
}

/** Makes a slot valid that {@link acquirePartition} has filled. One that is valid already stays as it is. */
export async function installPartition(target: PartitionTarget): Promise<number> {
  await using disk = await openDisk(target.disk)
  const named = disk.partitions().filter(({ name }) => name === target.label)
  const pending = named.find(({ typeGuid }) => typeGuid === target.types.pending)
  if (pending !== undefined) {
    disk.change(pending.number, { typeGuid: target.types.own, name: target.label })
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

function chooseSlot(target: PartitionTarget, all: readonly GptPartition[], size: number | undefined): GptPartition {
  const slots = all.filter(({ typeGuid, name }) => typeGuid === target.types.own && name === EMPTY)
  const bySize = slots.toSorted((a, b) => a.size - b.size)
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
  change(partitionNumber: number, change: GptChange): void
}

async function openDisk(path: string): Promise<Disk> {
  const file = await open(path, 'r+').catch((cause: NodeJS.ErrnoException) => {
    throw new BootwrightError('UPDATE_REFUSED', `Cannot open the disk ${path}: ${cause.code}`, { cause })
  })
  const { fd } = file
  const reader = diskFile(fd)
  try {
    lockTarget(fd, path)
    readTable(path, reader)
  } catch (error) {
    await file.close()
    throw error
  }
  return {
    file,
    partitions: () => readTable(path, reader),
    change(partitionNumber, change) {
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
