import { ByteReader } from './byte-reader.ts'
import { decompressLzma } from './lzma.ts'
import { malformed } from './malformed.ts'

/** A firmware volume (PI, volume 3, 3.2). */
export interface FirmwareVolume {
  /** Offset in the bytes that were searched. */
  readonly offset: number
  /** The format of its content, as lower-case text. */
  readonly fileSystemGuid: string
  /** FvName, as lower-case text; undefined for a volume without an extended header. */
  readonly name: string | undefined
  /** All of it, its header included. */
  readonly bytes: Uint8Array
  /** Where its first file begins, from the start of the volume. */
  readonly filesOffset: number
}

/** A file of a firmware volume (EFI_FFS_FILE_HEADER). */
export interface FirmwareFile {
  /** As lower-case text. */
  readonly name: string
  /** EFI_FV_FILETYPE. */
  readonly type: number
  /** Offset of its header in the volume. */
  readonly offset: number
  /** What follows its header: sections, for most types. */
  readonly content: Uint8Array
}

/** A section of a file, or of another section. */
export interface FirmwareSection {
  /** EFI_SECTION_TYPE. */
  readonly type: number
  /** Of a GUID-defined section: what has to be done to its content. */
  readonly guid: string | undefined
  /** Offset of its header in the bytes that were read. */
  readonly offset: number
  readonly content: Uint8Array
}

/** Types of files and sections that are looked for here. */
export const FIRMWARE_FILE_VOLUME_IMAGE = 0x0b
const FILE_PADDING = 0xf0
export const SECTION_GUID_DEFINED = 0x02
export const SECTION_PE32 = 0x10
export const SECTION_TE = 0x12
export const SECTION_VOLUME_IMAGE = 0x17

/** EFI_FIRMWARE_FILE_SYSTEM2_GUID and 3: volumes with files. */
const FILE_SYSTEMS: ReadonlySet<string> = new Set([
  '8c8ce578-8a3d-4f1c-9935-896185c32dd3',
  '5473c07a-3dcb-4dca-bd6f-1e9689e7349a',
])
/** LZMA_CUSTOM_DECOMPRESS_GUID of EDK2. */
const LZMA_SECTION = 'ee4e5898-3914-4259-9d6e-dc7bd79403cf'

const VOLUME = 'firmware volume'
const SIGNATURE = 0x4856465f // "_FVH"
const SIGNATURE_OFFSET = 40
const MINIMUM_VOLUME_HEADER_SIZE = 0x48
const FILE_HEADER_SIZE = 24
const LARGE_FILE = 0x01
const ERASE_POLARITY = 0x800
/** Volumes in flash begin at its blocks. */
const SEARCH_STEP = 4096
/** Volumes inside sections inside files of volumes; OVMF needs two. */
const MAX_NESTING = 4
/** A few kilobytes can claim to hold many times 64 MiB. */
const MAX_DECOMPRESSED_BYTES = 128 * 1024 * 1024
const MAX_FLASH_BYTES = 64 * 1024 * 1024

/**
 * The firmware volumes of a flash image, one after the other, such as those of OVMF_CODE.fd. Rejects one without any
 * (`MALFORMED_INPUT`). Nothing is copied.
 */
export function findFirmwareVolumes(flash: Uint8Array): FirmwareVolume[] {
  if (flash.byteLength > MAX_FLASH_BYTES) {
    throw malformed(
      { what: VOLUME, field: 'flash', offset: 0 },
      `has ${flash.byteLength} bytes, more than ${MAX_FLASH_BYTES}`,
    )
  }
  const volumes: FirmwareVolume[] = []
  for (let offset = 0; offset + MINIMUM_VOLUME_HEADER_SIZE <= flash.byteLength; ) {
    if (!hasSignature(flash, offset)) {
      offset += SEARCH_STEP
      continue
    }
    const volume = parseFirmwareVolume(flash.subarray(offset), offset)
    volumes.push(volume)
    offset += volume.bytes.byteLength
  }
  if (volumes.length === 0) {
    throw malformed({ what: VOLUME, field: 'Signature', offset: SIGNATURE_OFFSET }, 'there is no "_FVH"', {
      hint: 'Give the code file of an EDK2 firmware, for example OVMF_CODE_4M.fd.',
    })
  }
  return volumes
}

/** Reads the header of the volume that `bytes` begin with. What follows the volume is left alone. */
export function parseFirmwareVolume(bytes: Uint8Array, base = 0): FirmwareVolume {
  const reader = new ByteReader(bytes, VOLUME, base)
  reader.bytes(16, 'ZeroVector')
  const fileSystemGuid = reader.guid('FileSystemGuid')
  const size = reader.safeU64('FvLength')
  if (reader.u32('Signature') !== SIGNATURE) throw reader.malformed('Signature', 'is not "_FVH"', 4)
  reader.u32('Attributes')
  const headerSize = reader.u16('HeaderLength')
  reader.u16('Checksum')
  const extendedHeaderOffset = reader.u16('ExtHeaderOffset')
  if (headerSize < MINIMUM_VOLUME_HEADER_SIZE || headerSize % 2 !== 0 || headerSize > size || size > bytes.byteLength) {
    throw reader.malformed(
      'HeaderLength',
      `is ${headerSize}, of a volume of ${size} bytes, of which ${bytes.byteLength} are there`,
      6,
    )
  }
  const words = new ByteReader(bytes.subarray(0, headerSize), VOLUME, base)
  let sum = 0
  while (words.remaining > 0) sum = (sum + words.u16('Checksum')) & 0xffff
  if (sum !== 0) throw reader.malformed('Checksum', `is wrong by 0x${sum.toString(16)}`, 4)
  const volume = { offset: base, fileSystemGuid, bytes: bytes.subarray(0, size) }
  if (extendedHeaderOffset === 0) return { ...volume, name: undefined, filesOffset: align(headerSize, 8) }
  if (extendedHeaderOffset < headerSize) {
    throw reader.malformed('ExtHeaderOffset', `is ${extendedHeaderOffset}, inside a header of ${headerSize} bytes`, 2)
  }
  const extended = new ByteReader(volume.bytes, VOLUME, base)
  extended.seek(base + extendedHeaderOffset, 'ExtHeaderOffset')
  const name = extended.guid('FvName')
  const extendedSize = extended.u32('ExtHeaderSize')
  if (extendedSize < 20 || extendedHeaderOffset + extendedSize > size) {
    throw extended.malformed('ExtHeaderSize', `is ${extendedSize}, in a volume of ${size} bytes`, 4)
  }
  return { ...volume, name, filesOffset: align(extendedHeaderOffset + extendedSize, 8) }
}

/** The files of a volume in its order, without padding. Rejects a volume whose content is no file system. */
export function firmwareFiles(volume: FirmwareVolume): FirmwareFile[] {
  const { bytes, offset: base } = volume
  const reader = new ByteReader(bytes, VOLUME, base)
  if (!FILE_SYSTEMS.has(volume.fileSystemGuid)) {
    reader.seek(base + 16, 'FileSystemGuid')
    throw reader.malformed('FileSystemGuid', `${volume.fileSystemGuid} is no file system`)
  }
  reader.seek(base + 44, 'Attributes')
  const erased = (reader.u32('Attributes') & ERASE_POLARITY) === 0 ? 0x00 : 0xff
  const files: FirmwareFile[] = []
  for (let offset = volume.filesOffset; offset + FILE_HEADER_SIZE <= bytes.byteLength; ) {
    const header = bytes.subarray(offset, offset + FILE_HEADER_SIZE)
    if (header.every((byte) => byte === erased)) break
    const file = readFile(bytes, offset, base)
    if (file.type !== FILE_PADDING) files.push(file)
    offset = align(offset + file.headerSize + file.content.byteLength, 8)
  }
  return files.map(({ name, type, offset, content }) => ({ name, type, offset, content }))
}

/** The sections in `bytes`, the content of a file or of a section. */
export function firmwareSections(bytes: Uint8Array): FirmwareSection[] {
  const reader = new ByteReader(bytes, 'firmware section')
  const sections: FirmwareSection[] = []
  while (reader.remaining > 0) {
    const start = reader.offset
    const sizeBytes = reader.bytes(3, 'Size')
    const type = reader.u8('Type')
    let size = u24(sizeBytes)
    if (size === 0xffffff) size = reader.u32('ExtendedSize')
    let guid: string | undefined
    let contentOffset = reader.offset
    if (type === SECTION_GUID_DEFINED) {
      guid = reader.guid('SectionDefinitionGuid')
      contentOffset = start + reader.u16('DataOffset')
      reader.u16('Attributes')
      if (contentOffset < reader.offset) throw reader.malformed('DataOffset', 'lies inside the header', 4)
    }
    const end = start + size
    if (end < contentOffset || end > bytes.byteLength) {
      throw malformed(
        { what: 'firmware section', field: 'Size', offset: start },
        `is ${size}, but there are ${bytes.byteLength - start} bytes`,
      )
    }
    sections.push({ type, guid, offset: start, content: bytes.subarray(contentOffset, end) })
    reader.seek(Math.min(align(end, 4), bytes.byteLength), 'Size')
  }
  return sections
}

/**
 * The volumes that lie inside files of these volumes, compressed (LZMA) or not, down to the innermost, in the order of
 * their sections. Compression of another kind, and whatever is signed, is passed over.
 */
export function nestedFirmwareVolumes(volumes: readonly FirmwareVolume[]): FirmwareVolume[] {
  const budget = { bytes: MAX_DECOMPRESSED_BYTES }
  return volumes
    .filter(({ fileSystemGuid }) => FILE_SYSTEMS.has(fileSystemGuid))
    .flatMap(firmwareFiles)
    .filter(({ type }) => type === FIRMWARE_FILE_VOLUME_IMAGE)
    .flatMap(({ content }) => volumesIn(content, 0, budget))
}

function volumesIn(sections: Uint8Array, depth: number, budget: { bytes: number }): FirmwareVolume[] {
  if (depth === MAX_NESTING) {
    throw malformed({ what: 'firmware section', field: 'Type', offset: 0 }, `is nested more than ${MAX_NESTING} deep`)
  }
  return firmwareSections(sections).flatMap(({ type, guid, content }) => {
    if (type === SECTION_VOLUME_IMAGE) return [parseFirmwareVolume(content)]
    if (type !== SECTION_GUID_DEFINED || guid !== LZMA_SECTION) return []
    const decompressed = decompressLzma(content)
    budget.bytes -= decompressed.byteLength
    if (budget.bytes < 0) {
      throw malformed(
        { what: 'firmware section', field: 'content', offset: 0 },
        `decompresses to more than ${MAX_DECOMPRESSED_BYTES} bytes in all`,
      )
    }
    return volumesIn(decompressed, depth + 1, budget)
  })
}

function readFile(volume: Uint8Array, offset: number, base: number): FirmwareFile & { readonly headerSize: number } {
  const reader = new ByteReader(volume.subarray(offset), VOLUME, base + offset)
  const name = reader.guid('file Name')
  reader.u16('IntegrityCheck')
  const type = reader.u8('file Type')
  const attributes = reader.u8('file Attributes')
  let size = u24(reader.bytes(3, 'file Size'))
  reader.u8('file State')
  let headerSize = FILE_HEADER_SIZE
  if ((attributes & LARGE_FILE) !== 0) {
    size = reader.safeU64('file ExtendedSize')
    headerSize += 8
  }
  if (size < headerSize || offset + size > volume.byteLength) {
    throw reader.malformed('file Size', `is ${size}, but there are ${volume.byteLength - offset} bytes`, 4)
  }
  // The checksum of the content (byte 17) and the state (byte 23) count as zero.
  const header = volume.subarray(offset, offset + headerSize)
  const sum = header.reduce((total, byte, index) => (index === 17 || index === 23 ? total : total + byte), 0) & 0xff
  if (sum !== 0) {
    throw malformed(
      { what: VOLUME, field: 'file IntegrityCheck', offset: base + offset + 16 },
      `is wrong by 0x${sum.toString(16)}`,
    )
  }
  return { name, type, offset, headerSize, content: volume.subarray(offset + headerSize, offset + size) }
}

function hasSignature(bytes: Uint8Array, offset: number): boolean {
  const at = offset + SIGNATURE_OFFSET
  return new DataView(bytes.buffer, bytes.byteOffset + at, 4).getUint32(0, true) === SIGNATURE
}

function u24(bytes: Uint8Array): number {
  return (bytes[0] ?? 0) | ((bytes[1] ?? 0) << 8) | ((bytes[2] ?? 0) << 16)
}

function align(offset: number, boundary: number): number {
  return Math.ceil(offset / boundary) * boundary
}
