import { ByteReader } from './byte-reader.ts'

/** A file or directory as its directory describes it. */
export interface FatEntry {
  /** The long name, or the short one where there is none. */
  readonly name: string
  /** The 8.3 name. */
  readonly shortName: string
  readonly isDirectory: boolean
  /** In bytes; 0 for directories. */
  readonly size: number
  /** 0 for an empty file. */
  readonly firstCluster: number
}

const WHAT = 'FAT directory'
const ENTRY_BYTES = 32
const LONG_NAME_ATTRIBUTES = 0x0f
const VOLUME_ID = 0x08
const DIRECTORY = 0x10
const LAST_LONG_ENTRY = 0x40
const END = 0x00
const DELETED = 0xe5
/** The first character of a short name that really is 0xe5. */
const KANJI_E5 = 0x05
/** Windows NT marks a short name whose base or extension is to be shown in lower case. */
const LOWER_BASE = 0x08
const LOWER_EXTENSION = 0x10

/** Characters of a long name in one entry: 5, 6 and 2 of them, at these offsets. */
const LONG_NAME_PARTS = [
  [1, 11],
  [14, 26],
  [28, 32],
] as const

/** Pieces of a long name, last piece first, until their short entry comes. */
interface LongName {
  readonly pieces: readonly string[]
  readonly nextOrdinal: number
  readonly checksum: number
}

/** The entries in use, in order. A long name whose pieces or check sum do not fit its short entry is left out, as the firmware does. */
export function parseFatDirectory(bytes: Uint8Array): FatEntry[] {
  const entries: FatEntry[] = []
  let long: LongName | undefined
  for (let start = 0; start + ENTRY_BYTES <= bytes.byteLength; start += ENTRY_BYTES) {
    const raw = bytes.subarray(start, start + ENTRY_BYTES)
    const first = raw[0] ?? END
    const attributes = raw[11] ?? 0
    if (first === END) break
    if (first === DELETED) {
      long = undefined
    } else if ((attributes & 0x3f) === LONG_NAME_ATTRIBUTES) {
      long = readLongName(raw, long)
    } else {
      const entry = readShortEntry(raw, long, start)
      if ((attributes & VOLUME_ID) === 0 && entry.shortName !== '.' && entry.shortName !== '..') entries.push(entry)
      long = undefined
    }
  }
  return entries
}

function readLongName(raw: Uint8Array, before: LongName | undefined): LongName | undefined {
  const order = raw[0] ?? 0
  const ordinal = order & 0x3f
  const checksum = raw[13] ?? 0
  const piece = LONG_NAME_PARTS.map(([from, to]) => Buffer.from(raw.subarray(from, to)).toString('utf16le')).join('')
  if ((order & LAST_LONG_ENTRY) !== 0) return { pieces: [piece], nextOrdinal: ordinal - 1, checksum }
  if (before === undefined || before.nextOrdinal !== ordinal || before.checksum !== checksum) return undefined
  return { pieces: [piece, ...before.pieces], nextOrdinal: ordinal - 1, checksum }
}

function readShortEntry(raw: Uint8Array, long: LongName | undefined, offset: number): FatEntry {
  const reader = new ByteReader(raw, WHAT, offset)
  const encoded = Uint8Array.from(reader.bytes(11, 'Name'))
  const attributes = reader.u8('Attr')
  const caseFlags = reader.u8('NTRes')
  reader.seek(offset + 20, 'FstClusHI')
  const high = reader.u16('FstClusHI')
  reader.seek(offset + 26, 'FstClusLO')
  const firstCluster = high * 65_536 + reader.u16('FstClusLO')
  const size = reader.u32('FileSize')
  const isDirectory = (attributes & DIRECTORY) !== 0
  const shortName = decodeShortName(encoded, 0)
  const isLong = long !== undefined && long.nextOrdinal === 0 && long.checksum === checksumOf(encoded)
  const name = isLong ? (long.pieces.join('').split('\0', 1)[0] ?? '') : decodeShortName(encoded, caseFlags)
  return { name, shortName, isDirectory, size: isDirectory ? 0 : size, firstCluster }
}

function decodeShortName(encoded: Uint8Array, caseFlags: number): string {
  const bytes = Buffer.from(encoded)
  if (bytes[0] === KANJI_E5) bytes[0] = DELETED
  const base = bytes.toString('latin1', 0, 8).trimEnd()
  const extension = bytes.toString('latin1', 8, 11).trimEnd()
  const shown = [
    (caseFlags & LOWER_BASE) !== 0 ? base.toLowerCase() : base,
    (caseFlags & LOWER_EXTENSION) !== 0 ? extension.toLowerCase() : extension,
  ]
  return extension === '' ? (shown[0] ?? '') : shown.join('.')
}

/** Ties a long name to its short one, so that a system that knows only short names cannot part them unnoticed. */
function checksumOf(encoded: Uint8Array): number {
  let sum = 0
  for (const byte of encoded) sum = (((sum & 1) << 7) + (sum >> 1) + byte) & 0xff
  return sum
}
