import { crc32 } from 'node:zlib'
import { BootwrightError } from '../system/index.ts'
import { readDisk } from './disk-range.ts'
import { type DiskReader, diskOf, type Gpt, type GptCopy, type GptHeader, parseGpt } from './gpt.ts'
import { NIL_GUID, parseGuid } from './guid.ts'
import { malformed } from './malformed.ts'

/** What becomes of one entry; what is absent stays. */
export interface GptChange {
  readonly typeGuid?: string
  readonly partitionGuid?: string
  readonly attributes?: bigint
  readonly name?: string
}

/** One piece of a table to write; the next one may be written only when this one is on the disk. */
export interface GptWrite {
  readonly what: 'backup entries' | 'backup header' | 'primary entries' | 'primary header'
  /** In bytes from the start of the disk. */
  readonly offset: number
  readonly bytes: Uint8Array
}

/** A partition name has 72 bytes of UTF-16 (UEFI 5.3.3). */
export const MAX_GPT_NAME_UNITS = 36

const NAME_OFFSET = 56

/**
 * Changes one entry of a GUID partition table: what to write, in an order that leaves one whole copy on the disk at each
 * moment (UEFI 5.3.2: the backup first). A damaged copy is made anew from the other one on the way.
 *
 * Rejects with `MALFORMED_INPUT` when no copy is whole, and with `INVALID_ARGUMENT` when there is no such partition or a
 * value does not fit. Everything else of the table stays, the protective MBR too.
 */
export function editGpt(
  disk: DiskReader | Uint8Array,
  partitionNumber: number,
  change: GptChange,
  options: { sectorSize?: 512 | 4096 } = {},
): readonly GptWrite[] {
  const source = disk instanceof Uint8Array ? diskOf(disk) : disk
  const gpt = parseGpt(source, options)
  if (!gpt.partitions.some(({ number }) => number === partitionNumber)) {
    const known = gpt.partitions.map(({ number }) => number).join(', ')
    throw refused(`There is no partition ${partitionNumber}; there are: ${known || 'none'}`)
  }
  const entries = Uint8Array.from(entryArray(source, gpt))
  const start = (partitionNumber - 1) * gpt.header.entrySize
  applyChange(entries.subarray(start, start + gpt.header.entrySize), change)
  return writes(source, gpt, entries)
}

/** What to write so that both copies of the table are whole again, from the one that is; nothing when both are. */
export function repairGpt(
  disk: DiskReader | Uint8Array,
  options: { sectorSize?: 512 | 4096 } = {},
): readonly GptWrite[] {
  const source = disk instanceof Uint8Array ? diskOf(disk) : disk
  const gpt = parseGpt(source, options)
  if (gpt.primary.state === 'valid' && gpt.backup.state === 'valid') return []
  const damaged = gpt.primary.state === 'valid' ? 'backup' : 'primary'
  return writes(source, gpt, entryArray(source, gpt)).filter(({ what }) => what.startsWith(damaged))
}

function applyChange(entry: Uint8Array, change: GptChange): void {
  const view = Buffer.from(entry.buffer, entry.byteOffset, entry.byteLength)
  if (change.typeGuid !== undefined) {
    if (change.typeGuid === NIL_GUID) throw refused('A partition cannot have the type of an unused entry')
    view.set(parseGuid(change.typeGuid), 0)
  }
  if (change.partitionGuid !== undefined) view.set(parseGuid(change.partitionGuid), 16)
  if (change.attributes !== undefined) {
    if (change.attributes < 0n || change.attributes >= 2n ** 64n) throw refused('Attributes have 64 bits')
    view.writeBigUInt64LE(change.attributes, 48)
  }
  if (change.name !== undefined) {
    checkGptName(change.name)
    view.fill(0, NAME_OFFSET, NAME_OFFSET + 2 * MAX_GPT_NAME_UNITS)
    view.write(change.name, NAME_OFFSET, 'utf16le')
  }
}

/** Rejects with `INVALID_ARGUMENT` what no partition can be called. */
export function checkGptName(name: string): void {
  if (name.includes('\0')) throw refused(`A partition name cannot contain a NUL, found ${JSON.stringify(name)}`)
  if (name.length <= MAX_GPT_NAME_UNITS) return
  throw refused(
    `A partition name has at most ${MAX_GPT_NAME_UNITS} UTF-16 units, "${name.slice(0, 80)}" has ${name.length}`,
  )
}

function entryArray(source: DiskReader, { header, sectorSize }: Gpt): Uint8Array {
  const length = header.entryCount * header.entrySize
  return readDisk(source, header.entriesLba * sectorSize, length, 'GPT', 'partition entry array')
}

function writes(source: DiskReader, gpt: Gpt, entries: Uint8Array): readonly GptWrite[] {
  const arrayBlocks = Math.ceil(entries.byteLength / gpt.sectorSize)
  const { primaryLba, backupLba } = positions(source, gpt)
  const copies = [
    { copy: 'backup', lba: backupLba, alternateLba: primaryLba, state: gpt.backup, usual: backupLba - arrayBlocks },
    { copy: 'primary', lba: primaryLba, alternateLba: backupLba, state: gpt.primary, usual: primaryLba + 1 },
  ] as const
  const list: GptWrite[] = []
  for (const { copy, lba, alternateLba, state, usual } of copies) {
    const isWhereItWas = state.state === 'valid' && state.header.currentLba === lba
    const entriesLba = isWhereItWas ? state.header.entriesLba : usual
    checkRoom(gpt, entriesLba, arrayBlocks, copy)
    const header = writeHeader(gpt, headerOf(state, gpt), { lba, alternateLba, entriesLba }, entries)
    list.push({ what: `${copy} entries`, offset: entriesLba * gpt.sectorSize, bytes: entries })
    list.push({ what: `${copy} header`, offset: lba * gpt.sectorSize, bytes: header })
  }
  return list
}

function headerOf(copy: GptCopy, gpt: Gpt): GptHeader {
  return copy.state === 'valid' ? copy.header : gpt.header
}

/**
 * Of a disk that has grown, the backup goes to its new end: where the primary copy is damaged, that is the only place where
 * firmware looks for it (UEFI 5.3.2).
 */
function positions(source: DiskReader, gpt: Gpt): { primaryLba: number; backupLba: number } {
  const { currentLba, alternateLba } = gpt.header
  const primaryLba = gpt.used === 'primary' ? currentLba : 1
  const lastLba = Math.floor(source.size / gpt.sectorSize) - 1
  const backupLba = gpt.used === 'primary' ? Math.max(alternateLba, lastLba) : currentLba
  const end = (backupLba + 1) * gpt.sectorSize
  if (!Number.isSafeInteger(end) || end > source.size || backupLba <= gpt.header.lastUsableLba) {
    throw malformed(
      { what: 'GPT header', field: 'AlternateLBA', offset: currentLba * gpt.sectorSize + 32 },
      `block ${backupLba} should lie behind block ${gpt.header.lastUsableLba} on a disk of ${source.size} bytes`,
      { hint: 'The disk was cut short after it was partitioned: make it as large as it was.' },
    )
  }
  return { primaryLba, backupLba }
}

/** The array must not lie where partitions may. */
function checkRoom(gpt: Gpt, entriesLba: number, blocks: number, copy: 'primary' | 'backup'): void {
  const { firstUsableLba, lastUsableLba } = gpt.header
  const isFree = entriesLba >= 2 && (entriesLba + blocks <= firstUsableLba || entriesLba > lastUsableLba)
  if (isFree) return
  throw malformed(
    { what: `GPT ${copy} header`, field: 'PartitionEntryLBA', offset: gpt.header.currentLba * gpt.sectorSize + 72 },
    `the ${blocks} blocks of the entries, from ${entriesLba} on, overlap the usable ${firstUsableLba}-${lastUsableLba}`,
  )
}

function writeHeader(
  gpt: Gpt,
  header: GptHeader,
  place: { lba: number; alternateLba: number; entriesLba: number },
  entries: Uint8Array,
): Uint8Array {
  const block = Buffer.alloc(gpt.sectorSize)
  block.set(header.bytes)
  block.writeBigUInt64LE(BigInt(place.lba), 24)
  block.writeBigUInt64LE(BigInt(place.alternateLba), 32)
  block.writeBigUInt64LE(BigInt(place.entriesLba), 72)
  block.writeUInt32LE(crc32(entries), 88)
  block.writeUInt32LE(0, 16)
  block.writeUInt32LE(crc32(block.subarray(0, header.bytes.byteLength)), 16)
  return block
}

function refused(message: string): BootwrightError {
  return new BootwrightError('INVALID_ARGUMENT', message)
}
