import { ByteReader } from './byte-reader.ts'
import type { DiskReader } from './gpt.ts'
import { malformed } from './malformed.ts'

/** One record of a write log: a write with its data, a discard, a flush, or a mark that somebody set. */
export interface WriteLogEntry {
  /** Position in the log, from 0. */
  readonly index: number
  /** Where on the disk, in bytes. */
  readonly offset: number
  /** How much of the disk, in bytes; 0 for a flush alone and for a mark. */
  readonly length: number
  /** All writes that had completed before are on the medium. */
  readonly isFlush: boolean
  /** This write itself is on the medium (force unit access). */
  readonly isFua: boolean
  readonly isDiscard: boolean
  /** The text of a mark. */
  readonly mark: string | undefined
  /** Where in the log the data is, in bytes; a discard has none. */
  readonly dataOffset: number
}

export interface WriteLog {
  /** Granularity of the log, in bytes. */
  readonly sectorSize: number
  readonly entries: readonly WriteLogEntry[]
  /** How many of them lie behind those that the superblock counts: its writer ended before it counted them. */
  readonly uncounted: number
}

const WHAT = 'write log'
const MAGIC = 0x6a736677736872n
const VERSION = 1n
const SUPERBLOCK_BYTES = 28
const ENTRY_BYTES = 32
const MIN_SECTOR = 512
const MAX_SECTOR = 8 * 1024 * 1024
/** A boot writes some thousands. */
const MAX_ENTRIES = 4_000_000

const FLUSH = 1n
const FUA = 2n
const DISCARD = 4n
const MARK = 8n
const METADATA = 16n
const KNOWN_FLAGS = FLUSH | FUA | DISCARD | MARK | METADATA

/**
 * Reads a log of the writes to a disk, as the kernel's dm-log-writes (version 1) and QEMU's `blklogwrites` make it. Of the
 * data, nothing is read.
 *
 * Entries that the superblock does not count yet are taken as long as they are whole. Anything else that is cut or
 * impossible is `MALFORMED_INPUT`.
 */
export function parseWriteLog(log: DiskReader): WriteLog {
  const { sectorSize, count } = readSuperblock(log)
  const entries: WriteLogEntry[] = []
  let position = sectorSize
  while (position + sectorSize <= log.size) {
    const isCounted = entries.length < count
    const found = readEntry(log, position, sectorSize, entries.length, isCounted)
    if (found === undefined) break
    if (entries.length === MAX_ENTRIES) {
      throw malformed({ what: WHAT, field: 'entries', offset: position }, `more than ${MAX_ENTRIES} entries`)
    }
    entries.push(found)
    position = found.isDiscard || found.mark !== undefined ? position + sectorSize : found.dataOffset + found.length
  }
  if (entries.length < count) {
    throw malformed(
      { what: WHAT, field: 'nr_entries', offset: 16 },
      `counts ${count} entries, but the log ends after ${entries.length}`,
    )
  }
  return { sectorSize, entries, uncounted: entries.length - count }
}

function readSuperblock(log: DiskReader): { sectorSize: number; count: number } {
  const reader = new ByteReader(log.read(0, Math.min(SUPERBLOCK_BYTES, log.size)), WHAT)
  if (reader.u64('magic') !== MAGIC) throw reader.malformed('magic', 'is not that of a write log', 8)
  const version = reader.u64('version')
  if (version !== VERSION) throw reader.malformed('version', `expected 1, found ${version}`, 8)
  const count = reader.safeU64('nr_entries')
  const sectorSize = reader.u32('sectorsize')
  if (sectorSize < MIN_SECTOR || sectorSize > MAX_SECTOR || (sectorSize & (sectorSize - 1)) !== 0) {
    throw reader.malformed('sectorsize', `expected a power of two from 512, found ${sectorSize}`, 4)
  }
  return { sectorSize, count }
}

/** One entry, or undefined where a log ends whose superblock is behind. */
function readEntry(
  log: DiskReader,
  position: number,
  sectorSize: number,
  index: number,
  isCounted: boolean,
): WriteLogEntry | undefined {
  const header = log.read(position, sectorSize)
  // An entry has a length or a flag; space without either was never written.
  if (!isCounted && header.subarray(0, ENTRY_BYTES).every((byte) => byte === 0)) return undefined
  try {
    const reader = new ByteReader(header, WHAT, position)
    const sector = reader.safeU64('sector')
    const sectors = reader.safeU64('nr_sectors')
    const flags = reader.u64('flags')
    if ((flags & ~KNOWN_FLAGS) !== 0n) throw reader.malformed('flags', `0x${flags.toString(16)} is unknown`, 8)
    const textLength = reader.safeU64('data_len')
    const isMark = (flags & MARK) !== 0n
    const isDiscard = (flags & DISCARD) !== 0n
    const offset = sector * sectorSize
    const length = isMark ? 0 : sectors * sectorSize
    if (!Number.isSafeInteger(offset + length)) throw reader.malformed('nr_sectors', `${sectors} is too large`, 24)
    const dataOffset = position + sectorSize
    if (!isDiscard && dataOffset + length > log.size) {
      throw reader.malformed('nr_sectors', `needs ${length} bytes, but ${log.size - dataOffset} are left`, 24)
    }
    const mark = isMark ? new TextDecoder().decode(reader.bytes(textLength, 'mark')) : undefined
    return {
      index,
      offset,
      length,
      isFlush: (flags & FLUSH) !== 0n,
      isFua: (flags & FUA) !== 0n,
      isDiscard,
      mark,
      dataOffset,
    }
  } catch (error) {
    if (!isCounted) return undefined
    throw error
  }
}
