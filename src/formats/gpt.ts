import { crc32 } from 'node:zlib'
import { BootwrightError } from '../system/index.ts'
import { ByteReader } from './byte-reader.ts'
import { NIL_GUID } from './guid.ts'
import { malformed } from './malformed.ts'

/** A disk, read where it is needed: a GPT takes some 34 KiB of it, at both ends. */
export interface DiskReader {
  /** Bytes in all. */
  readonly size: number
  /** Exactly these bytes; only ranges inside the disk are asked for. */
  read(offset: number, length: number): Uint8Array
}

export interface GptHeader {
  readonly diskGuid: string
  readonly currentLba: number
  readonly alternateLba: number
  readonly firstUsableLba: number
  readonly lastUsableLba: number
  readonly entriesLba: number
  readonly entryCount: number
  readonly entrySize: number
  readonly entriesCrc32: number
  /** The header as it is on the disk, `HeaderSize` bytes (92 in all that is known). */
  readonly bytes: Uint8Array
}

export interface GptPartition {
  /** Position in the partition array, from 1, as in `/dev/vda1`. */
  readonly number: number
  readonly typeGuid: string
  readonly partitionGuid: string
  readonly firstLba: number
  /** The last block that belongs to it. */
  readonly lastLba: number
  /** In bytes from the start of the disk. */
  readonly offset: number
  /** In bytes. */
  readonly size: number
  readonly attributes: bigint
  readonly name: string
  /** The entry as it is on the disk. */
  readonly bytes: Uint8Array
}

/** One of the two copies of a GPT: whole, or why not. */
export type GptCopy =
  | { readonly state: 'valid'; readonly header: GptHeader; readonly partitions: readonly GptPartition[] }
  | { readonly state: 'damaged'; readonly error: BootwrightError }

export interface Gpt {
  readonly sectorSize: number
  /** The copy that counts: the primary one unless it is damaged. */
  readonly used: 'primary' | 'backup'
  readonly header: GptHeader
  /** Entries in use, in array order. */
  readonly partitions: readonly GptPartition[]
  readonly primary: GptCopy
  readonly backup: GptCopy
}

const WHAT = 'GPT'
const SIGNATURE = 0x5452415020494645n // "EFI PART"
const MINIMUM_HEADER_SIZE = 92
const MINIMUM_ENTRY_SIZE = 128
/** 128 entries of 128 bytes are 16 KiB; no tool makes more than some hundreds. */
const MAX_ENTRIES_BYTES = 1024 * 1024

/** A disk that is in memory. */
export function diskOf(bytes: Uint8Array): DiskReader {
  return { size: bytes.byteLength, read: (offset, length) => bytes.subarray(offset, offset + length) }
}

/**
 * Reads both copies of a GUID partition table (UEFI 5.3) and checks their CRCs, positions and ranges.
 *
 * One damaged copy is reported in the result, two are `MALFORMED_INPUT` (the error of the primary one). Without
 * `sectorSize` both 512 and 4096 are tried.
 */
export function parseGpt(disk: DiskReader | Uint8Array, options: { sectorSize?: 512 | 4096 } = {}): Gpt {
  const source = disk instanceof Uint8Array ? diskOf(disk) : disk
  const sizes = options.sectorSize === undefined ? [512, 4096] : [options.sectorSize]
  const attempts = sizes.map((sectorSize) => ({ sectorSize, primary: readCopy(source, sectorSize, 1) }))
  for (const { sectorSize, primary } of attempts) {
    if (primary.state === 'damaged') continue
    const backup = readCopy(source, sectorSize, primary.header.alternateLba, primary.header)
    return { sectorSize, used: 'primary', header: primary.header, partitions: primary.partitions, primary, backup }
  }
  for (const { sectorSize, primary } of attempts) {
    const backup = readCopy(source, sectorSize, Math.floor(source.size / sectorSize) - 1)
    if (backup.state === 'damaged') continue
    return { sectorSize, used: 'backup', header: backup.header, partitions: backup.partitions, primary, backup }
  }
  // Where a signature is, the reader knows best what is wrong behind it.
  const signed = attempts.find(({ sectorSize }) => hasSignature(source, sectorSize)) ?? attempts[0]
  throw signed?.primary.state === 'damaged' ? signed.primary.error : new BootwrightError('BUG', 'No sector size tried')
}

function hasSignature(source: DiskReader, offset: number): boolean {
  if (source.size < offset + 8) return false
  return new ByteReader(readRange(source, offset, 8, 'Signature'), WHAT, offset).u64('Signature') === SIGNATURE
}

function readCopy(source: DiskReader, sectorSize: number, lba: number, primary?: GptHeader): GptCopy {
  try {
    const header = readHeader(source, sectorSize, lba)
    if (primary !== undefined) checkTwins(primary, header, lba * sectorSize)
    return { state: 'valid', header, partitions: readPartitions(source, sectorSize, header) }
  } catch (error) {
    if (error instanceof BootwrightError && error.code === 'MALFORMED_INPUT') return { state: 'damaged', error }
    throw error
  }
}

function readRange(source: DiskReader, offset: number, length: number, field: string): Uint8Array {
  if (offset < 0 || offset + length > source.size) {
    throw malformed({ what: WHAT, field, offset }, `its ${length} bytes end beyond the disk of ${source.size} bytes`)
  }
  const bytes = source.read(offset, length)
  if (bytes.byteLength !== length) {
    throw malformed({ what: WHAT, field, offset }, `expected ${length} bytes, could read ${bytes.byteLength}`)
  }
  return bytes
}

function readHeader(source: DiskReader, sectorSize: number, lba: number): GptHeader {
  const offset = lba * sectorSize
  const block = readRange(source, offset, sectorSize, 'header')
  const reader = new ByteReader(block, WHAT, offset)
  if (reader.u64('Signature') !== SIGNATURE) throw reader.malformed('Signature', 'expected "EFI PART"', 8)
  const revision = reader.u32('Revision')
  if (revision >>> 16 !== 1) throw reader.malformed('Revision', `expected 1.x, found 0x${revision.toString(16)}`, 4)
  const headerSize = reader.u32('HeaderSize')
  if (headerSize < MINIMUM_HEADER_SIZE || headerSize > sectorSize) {
    throw reader.malformed('HeaderSize', `expected ${MINIMUM_HEADER_SIZE}-${sectorSize}, found ${headerSize}`, 4)
  }
  const headerCrc = reader.u32('HeaderCRC32')
  const bytes = block.subarray(0, headerSize)
  const zeroed = Uint8Array.from(bytes)
  zeroed.fill(0, 16, 20)
  checkCrc(headerCrc, zeroed, { what: WHAT, field: 'HeaderCRC32', offset: offset + 16 })
  reader.u32('Reserved')
  const currentLba = reader.safeU64('MyLBA')
  if (currentLba !== lba) throw reader.malformed('MyLBA', `expected ${lba}, found ${currentLba}`, 8)
  const alternateLba = reader.safeU64('AlternateLBA')
  const firstUsableLba = reader.safeU64('FirstUsableLBA')
  const lastUsableLba = reader.safeU64('LastUsableLBA')
  // A disk without room for a partition has first = last + 1.
  if (firstUsableLba > lastUsableLba + 1) {
    throw reader.malformed('LastUsableLBA', `${lastUsableLba} lies before FirstUsableLBA ${firstUsableLba}`, 8)
  }
  const diskGuid = reader.guid('DiskGUID')
  const entriesLba = reader.safeU64('PartitionEntryLBA')
  const entryCount = reader.u32('NumberOfPartitionEntries')
  const entrySize = reader.u32('SizeOfPartitionEntry')
  if (entrySize < MINIMUM_ENTRY_SIZE || entrySize % 8 !== 0 || entryCount * entrySize > MAX_ENTRIES_BYTES) {
    throw reader.malformed(
      'SizeOfPartitionEntry',
      `${entryCount} entries of ${entrySize} bytes: expected a multiple of 8, at least ${MINIMUM_ENTRY_SIZE}, ` +
        `and at most ${MAX_ENTRIES_BYTES} bytes in all`,
      4,
    )
  }
  const entriesCrc32 = reader.u32('PartitionEntryArrayCRC32')
  return {
    diskGuid,
    currentLba,
    alternateLba,
    firstUsableLba,
    lastUsableLba,
    entriesLba,
    entryCount,
    entrySize,
    entriesCrc32,
    bytes,
  }
}

function checkCrc(expected: number, bytes: Uint8Array, place: { what: string; field: string; offset: number }): void {
  const found = crc32(bytes)
  if (found === expected) return
  throw malformed(place, `says ${hex32(expected)}, but the bytes have ${hex32(found)}`)
}

function hex32(value: number): string {
  return `0x${value.toString(16).padStart(8, '0')}`
}

/** Both copies describe one disk; a left-over of an earlier table is not the backup of this one. */
function checkTwins(primary: GptHeader, backup: GptHeader, offset: number): void {
  for (const field of [
    'diskGuid',
    'firstUsableLba',
    'lastUsableLba',
    'entryCount',
    'entrySize',
    'entriesCrc32',
  ] as const) {
    if (primary[field] === backup[field]) continue
    throw malformed(
      { what: `${WHAT} backup header`, field, offset },
      `is ${backup[field]}, but the primary header says ${primary[field]}`,
    )
  }
}

function readPartitions(source: DiskReader, sectorSize: number, header: GptHeader): GptPartition[] {
  const offset = header.entriesLba * sectorSize
  const length = header.entryCount * header.entrySize
  if (!Number.isSafeInteger(offset)) {
    throw malformed(
      { what: WHAT, field: 'PartitionEntryLBA', offset: header.currentLba * sectorSize + 72 },
      `${header.entriesLba} lies beyond the disk of ${source.size} bytes`,
    )
  }
  const array = readRange(source, offset, length, 'partition entry array')
  checkCrc(header.entriesCrc32, array, { what: WHAT, field: 'partition entry array', offset })
  const partitions: GptPartition[] = []
  for (let index = 0; index < header.entryCount; index++) {
    const start = index * header.entrySize
    const reader = new ByteReader(array.subarray(start, start + header.entrySize), WHAT, offset + start)
    const partition = readPartition(reader, header, sectorSize, index + 1)
    if (partition === undefined) continue
    if (partition.offset + partition.size > source.size) {
      throw malformed(
        { what: WHAT, field: `partition ${partition.number}`, offset: offset + start },
        `ends at ${partition.offset + partition.size}, beyond the disk of ${source.size} bytes`,
      )
    }
    partitions.push(partition)
  }
  checkOverlap(partitions, offset, header.entrySize)
  return partitions
}

function readPartition(
  reader: ByteReader,
  header: GptHeader,
  sectorSize: number,
  number: number,
): GptPartition | undefined {
  const bytes = reader.rest()
  const typeGuid = reader.guid('PartitionTypeGUID')
  if (typeGuid === NIL_GUID) return undefined
  const partitionGuid = reader.guid('UniquePartitionGUID')
  const firstLba = reader.safeU64('StartingLBA')
  const lastLba = reader.safeU64('EndingLBA')
  if (firstLba > lastLba || firstLba < header.firstUsableLba || lastLba > header.lastUsableLba) {
    throw reader.malformed(
      `partition ${number}`,
      `blocks ${firstLba}-${lastLba} should lie in ${header.firstUsableLba}-${header.lastUsableLba}`,
      16,
    )
  }
  const attributes = reader.u64('Attributes')
  const name = Buffer.from(reader.bytes(72, 'PartitionName')).toString('utf16le').split('\0', 1)[0] ?? ''
  return {
    number,
    typeGuid,
    partitionGuid,
    firstLba,
    lastLba,
    offset: firstLba * sectorSize,
    size: (lastLba - firstLba + 1) * sectorSize,
    attributes,
    name,
    bytes,
  }
}

function checkOverlap(partitions: readonly GptPartition[], arrayOffset: number, entrySize: number): void {
  const sorted = [...partitions].sort((a, b) => a.firstLba - b.firstLba)
  for (const [index, partition] of sorted.entries()) {
    const previous = sorted[index - 1]
    if (previous === undefined || previous.lastLba < partition.firstLba) continue
    throw malformed(
      { what: WHAT, field: `partition ${partition.number}`, offset: arrayOffset + (partition.number - 1) * entrySize },
      `starts in block ${partition.firstLba}, but partition ${previous.number} ends in block ${previous.lastLba}`,
    )
  }
}
