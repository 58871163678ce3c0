import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { BootwrightError } from '../../system/index.ts'
import { isAligned } from './blocks.ts'

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

/** So much may wait in memory before the disk begins with it. */
const WRITE_BACK_BYTES = 64 * 1024 * 1024

/** Lets the disk write while more is acquired, not all of it at the end. */
class WriteBack {
  readonly #file: FileHandle
  #waitingBytes = 0
  #running: Promise<void> | undefined

  constructor(file: FileHandle) {
    this.#file = file
  }

  wrote(bytes: number): void {
    this.#waitingBytes += bytes
    if (this.#waitingBytes < WRITE_BACK_BYTES || this.#running !== undefined) return
    this.#waitingBytes = 0
    this.#running = this.#file.datasync().then(() => {
      this.#running = undefined
    })
    // It stays as what is running, and is told at the end.
    this.#running.catch(() => undefined)
  }

  async finish(): Promise<void> {
    await this.#running
    await this.#file.sync()
  }
}

const PAGE_BYTES = 4096
const ZEROS = Buffer.alloc(PAGE_BYTES)

/** A new file. Pages of zeros are left out: they become holes. */
export function sparseFileSink(
  file: FileHandle,
  { isSynced = true, ...options }: { maxBytes: number; name: string; isSynced?: boolean | undefined },
): Sink {
  const writeBack = new WriteBack(file)
  return {
    ...options,
    async write(block, position) {
      for (const { start, end } of dataRuns(block)) {
        await writeAll(file, block, start, end, position + start)
        if (isSynced) writeBack.wrote(end - start)
      }
    },
    async finish(size) {
      await file.truncate(size)
      if (isSynced) await writeBack.finish()
    },
  }
}

/**
 * A part of a disk. What lies behind the payload stays as it was. Whole blocks go to the disk by themselves, past the memory of the
 * kernel (O_DIRECT), where the file system takes them so.
 */
export async function partitionSink(
  file: FileHandle,
  place: { offset: number; size: number; name: string; isSynced?: boolean | undefined },
): Promise<Sink & AsyncDisposable> {
  const { offset } = place
  let direct: FileHandle | undefined = await open(
    `/proc/self/fd/${file.fd}`,
    constants.O_WRONLY | constants.O_DIRECT,
  ).catch(() => undefined)
  const close = async (): Promise<void> => {
    await direct?.close()
    direct = undefined
  }
  return {
    maxBytes: place.size,
    name: place.name,
    async write(block, position) {
      if (direct !== undefined && isAligned(block, offset + position)) {
        try {
          await writeAll(direct, block, 0, block.byteLength, offset + position)
          return
        } catch (error) {
          // It opens so, but cannot write so.
          if ((error as NodeJS.ErrnoException).code !== 'EINVAL') throw error
          await close()
        }
      }
      await writeAll(file, block, 0, block.byteLength, offset + position)
    },
    finish: async () => {
      if (place.isSynced !== false) await file.sync()
    },
    [Symbol.asyncDispose]: close,
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
