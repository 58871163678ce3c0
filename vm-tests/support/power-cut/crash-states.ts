import { closeSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import {
  type CrashMode,
  type DiskReader,
  settledBefore,
  stepsUpTo,
  type WriteLog,
  type WriteStep,
  writePoints,
} from '../../../src/formats/index.ts'
import type { RecordedWrites } from '../../../src/machine/index.ts'
import { diskFile, openDisk, run } from '../../../src/system/index.ts'
import type { Toolchain } from '../../../src/toolchain/index.ts'

/** A disk whose parts tell whether they may have changed. */
export interface StampedDisk extends DiskReader {
  /** Another one for a range whose content may be another. */
  stamp(offset: number, size: number): string
}

/** A disk that a power cut could have left. */
export interface CrashState {
  /** How many entries of the recording had been completed. */
  readonly at: number
  readonly mode: CrashMode
  readonly disk: StampedDisk
}

export interface CrashOptions {
  readonly toolchain: Toolchain
  /** For the disk as it goes on. */
  readonly directory: string
  /** For each flush, one disk for each of them that lacks some of the writes which that flush was to settle. */
  readonly seeds: readonly number[]
}

const CHUNK_BYTES = 1024 * 1024
const ZEROS = Buffer.alloc(CHUNK_BYTES)

/**
 * Calls back with each disk that a power cut during a recording could have left, as far as flushes tell them apart: that before
 * it, those after each flush, and those before a flush with a part of what it was to settle.
 *
 * @param log what was recorded, or made of it
 * @returns how many flushes there were
 */
export async function eachCrashState(
  recorded: Pick<RecordedWrites, 'basePath' | 'logPath'>,
  log: WriteLog,
  { toolchain, directory, seeds }: CrashOptions,
  use: (state: CrashState) => Promise<void> | void,
): Promise<number> {
  const path = join(directory, 'replayed.raw')
  await run(toolchain.command(['qemu-img', 'convert', '-f', 'qcow2', '-O', 'raw', recorded.basePath, path]))
  using writes = openDisk(recorded.logPath)
  using disk = new ReplayedDisk(path, writes)
  const points = writePoints(log).filter(({ cause }) => cause === 'flush')
  await use({ at: 0, mode: { kind: 'exact' }, disk })
  let done = 0
  for (const [index, { at }] of points.entries()) {
    const before = at - 1
    for (const seed of seeds) {
      const mode = { kind: 'lost', seed: seed * 1_000_003 + index } as const
      const survivors = stepsUpTo(log, before, mode, settledBefore(log, before))
      await use({ at: before, mode, disk: laidOver(disk, survivors, writes, `${before} ${mode.seed}`) })
    }
    for (const step of stepsUpTo(log, at, { kind: 'exact' }, done)) disk.apply(step)
    done = at
    await use({ at, mode: { kind: 'exact' }, disk })
  }
  return points.length
}

/** A raw disk that goes on with a recording. */
class ReplayedDisk implements StampedDisk, Disposable {
  readonly size: number
  readonly read: DiskReader['read']
  readonly #descriptor: number
  readonly #log: DiskReader
  /** Of each chunk, how many steps were done when it changed last. */
  readonly #changed: Uint32Array
  #steps = 0

  constructor(path: string, log: DiskReader) {
    this.#descriptor = openSync(path, 'r+')
    this.#log = log
    const file = diskFile(this.#descriptor)
    this.size = file.size
    this.read = file.read
    this.#changed = new Uint32Array(Math.ceil(file.size / CHUNK_BYTES))
  }

  apply({ kind, offset, length, dataOffset }: WriteStep): void {
    this.#steps += 1
    this.#changed.fill(this.#steps, Math.floor(offset / CHUNK_BYTES), Math.ceil((offset + length) / CHUNK_BYTES))
    for (let done = 0; done < length; done += CHUNK_BYTES) {
      const size = Math.min(CHUNK_BYTES, length - done)
      const bytes = kind === 'write' ? this.#log.read(dataOffset + done, size) : ZEROS.subarray(0, size)
      writeSync(this.#descriptor, bytes, 0, size, offset + done)
    }
  }

  stamp(offset: number, size: number): string {
    const chunks = this.#changed.subarray(Math.floor(offset / CHUNK_BYTES), Math.ceil((offset + size) / CHUNK_BYTES))
    return String(chunks.reduce((last, one) => Math.max(last, one), 0))
  }

  [Symbol.dispose](): void {
    closeSync(this.#descriptor)
  }
}

/** The same disk with some writes more. */
function laidOver(disk: StampedDisk, steps: readonly WriteStep[], log: DiskReader, name: string): StampedDisk {
  const within = (offset: number, size: number) =>
    steps.filter((step) => step.offset < offset + size && offset < step.offset + step.length)
  return {
    size: disk.size,
    read(offset, length) {
      const bytes = Buffer.from(disk.read(offset, length))
      for (const step of within(offset, length)) {
        const start = Math.max(step.offset, offset)
        const size = Math.min(step.offset + step.length, offset + length) - start
        const target = bytes.subarray(start - offset, start - offset + size)
        if (step.kind === 'discard') target.fill(0)
        else target.set(log.read(step.dataOffset + start - step.offset, size))
      }
      return bytes
    },
    stamp: (offset, size) => disk.stamp(offset, size) + (within(offset, size).length === 0 ? '' : ` and ${name}`),
  }
}
