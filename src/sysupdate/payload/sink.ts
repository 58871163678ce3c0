import type { FileHandle } from 'node:fs/promises'
import { BootwrightError } from '../../system/index.ts'

/** Where the bytes of a payload go, block by block in order. */
export interface Sink {
  /** No more bytes than these fit. */
  readonly maxBytes: number
  /** What it is called in messages. */
  readonly name: string
  /** Writes one block; the next one is given when this one is written. */
  write(block: Buffer, position: number): Promise<void>
  /** All blocks were given: makes it as long as it should be, on the disk. */
  finish(size: number): Promise<void>
}

const PAGE_BYTES = 4096
const ZEROS = Buffer.alloc(PAGE_BYTES)

/** A new file. Pages of zeros are left out: they become holes. */
export function sparseFileSink(
  file: FileHandle,
  { isSynced = true, ...options }: { maxBytes: number; name: string; isSynced?: boolean | undefined },
): Sink {
  return {
    ...options,
    async write(block, position) {
      for (const { start, end } of dataRuns(block)) await writeAll(file, block, start, end, position + start)
    },
    async finish(size) {
      await file.truncate(size)
      if (isSynced) await file.sync()
    },
  }
}

/** A part of a disk. What lies behind the payload stays as it was. */
export function partitionSink(
  file: FileHandle,
  place: { offset: number; size: number; name: string; isSynced?: boolean | undefined },
): Sink {
  return {
    maxBytes: place.size,
    name: place.name,
    write: (block, position) => writeAll(file, block, 0, block.byteLength, place.offset + position),
    finish: async () => {
      if (place.isSynced !== false) await file.sync()
    },
  }
}

/** The parts of a block, in whole pages, that are not all zeros. */
export function* dataRuns(block: Buffer): Generator<{ readonly start: number; readonly end: number }> {
  let start: number | undefined
  for (let position = 0; position < block.byteLength; position += PAGE_BYTES) {
    const end = Math.min(position + PAGE_BYTES, block.byteLength)
    const isData = block[position] !== 0 || block.compare(ZEROS, 0, end - position, position, end) !== 0
    if (isData) start ??= position
    else if (start !== undefined) {
      yield { start, end: position }
      start = undefined
    }
  }
  if (start !== undefined) yield { start, end: block.byteLength }
}

async function writeAll(file: FileHandle, block: Buffer, start: number, end: number, position: number): Promise<void> {
  for (let at = start; at < end; ) {
    const { bytesWritten } = await file.write(block, at, end - at, position + at - start)
    if (bytesWritten === 0) throw new BootwrightError('NO_SPACE', 'Cannot write: nothing was taken')
    at += bytesWritten
  }
}
