import { ByteReader } from './byte-reader.ts'
import { malformed } from './malformed.ts'

export interface PeSection {
  /** Up to eight bytes, as far as the first NUL. */
  readonly name: string
  /** Bytes in memory. May be smaller than `rawSize` (file alignment) or larger (zero-filled). */
  readonly virtualSize: number
  readonly virtualAddress: number
  /** Bytes in the file. */
  readonly rawSize: number
  readonly rawOffset: number
  readonly characteristics: number
  /** Offset in the file of this section's header, for messages. */
  readonly headerOffset: number
}

/** A range of the file. */
export interface FileRange {
  readonly offset: number
  readonly size: number
}

export interface PeFile {
  readonly format: 'PE32' | 'PE32+'
  /** COFF machine number, for example 0x8664. */
  readonly machine: number
  readonly timeDateStamp: number
  readonly characteristics: number
  readonly subsystem: number
  readonly sizeOfImage: number
  readonly sizeOfHeaders: number
  /** Where the CheckSum field lies; Authenticode leaves its four bytes out. */
  readonly checkSumOffset: number
  /** Where the certificate table's data directory entry lies; Authenticode leaves its eight bytes out. */
  readonly certificateEntryOffset: number | undefined
  /** The certificate table. Its address is a file offset, unlike those of the other data directories. */
  readonly certificateTable: FileRange | undefined
  /** In the order of the section table. */
  readonly sections: readonly PeSection[]
}

const WHAT = 'PE file'
const PE32_MAGIC = 0x10b
const PE32_PLUS_MAGIC = 0x20b
const CERTIFICATE_TABLE_INDEX = 4

/**
 * Reads the headers and the section table of a PE/COFF image (Microsoft PE format; UEFI 2.1.1).
 *
 * Nothing is copied. Section data that lies outside the file, in the headers or in another section, and sections that
 * overlap in memory or leave the image, are `MALFORMED_INPUT`: no two programs agree on what such a file contains.
 */
export function parsePe(bytes: Uint8Array): PeFile {
  const reader = new ByteReader(bytes, WHAT)
  if (reader.u16('MZ signature') !== 0x5a4d) throw reader.malformed('MZ signature', 'expected "MZ"', 2)
  reader.seek(0x3c, 'e_lfanew')
  reader.seek(reader.u32('e_lfanew'), 'e_lfanew')
  if (reader.u32('PE signature') !== 0x4550) throw reader.malformed('PE signature', 'expected "PE", NUL, NUL', 4)

  const machine = reader.u16('Machine')
  const sectionCount = reader.u16('NumberOfSections')
  const timeDateStamp = reader.u32('TimeDateStamp')
  reader.bytes(8, 'symbol table')
  const optionalHeaderSize = reader.u16('SizeOfOptionalHeader')
  const characteristics = reader.u16('Characteristics')

  const optional = readOptionalHeader(reader.part(optionalHeaderSize, 'optional header'))
  checkRange(optional.certificateTable, bytes.byteLength, optional.certificateEntryOffset ?? 0)

  const sections: PeSection[] = []
  for (let index = 0; index < sectionCount; index++) sections.push(readSection(reader))
  if (optional.sizeOfHeaders < reader.offset || optional.sizeOfHeaders > bytes.byteLength) {
    throw malformed(
      { what: WHAT, field: 'SizeOfHeaders', offset: optional.sizeOfHeadersOffset },
      `${optional.sizeOfHeaders} should be between the end of the section table, ${reader.offset}, and ${bytes.byteLength}`,
    )
  }
  checkInFile(sections, optional.sizeOfHeaders, bytes.byteLength)
  checkInMemory(sections, optional.sizeOfImage)
  const { sizeOfHeadersOffset: _, ...header } = optional
  return { machine, timeDateStamp, characteristics, ...header, sections }
}

function readOptionalHeader(reader: ByteReader) {
  const start = reader.offset
  const magic = reader.u16('Magic')
  if (magic !== PE32_MAGIC && magic !== PE32_PLUS_MAGIC) {
    throw reader.malformed('Magic', `expected 0x10b (PE32) or 0x20b (PE32+), found 0x${magic.toString(16)}`, 2)
  }
  const isPlus = magic === PE32_PLUS_MAGIC
  reader.seek(start + 56, 'optional header')
  const sizeOfImage = reader.u32('SizeOfImage')
  const sizeOfHeadersOffset = reader.offset
  const sizeOfHeaders = reader.u32('SizeOfHeaders')
  const checkSumOffset = reader.offset
  reader.u32('CheckSum')
  const subsystem = reader.u16('Subsystem')
  reader.seek(start + (isPlus ? 108 : 92), 'optional header')
  const directoryCount = reader.u32('NumberOfRvaAndSizes')
  if (directoryCount * 8 > reader.remaining) {
    throw reader.malformed(
      'NumberOfRvaAndSizes',
      `${directoryCount} data directories do not fit into the ${reader.remaining} bytes left of the optional header`,
      4,
    )
  }
  let certificateEntryOffset: number | undefined
  let certificateTable: FileRange | undefined
  if (directoryCount > CERTIFICATE_TABLE_INDEX) {
    certificateEntryOffset = reader.offset + CERTIFICATE_TABLE_INDEX * 8
    reader.seek(certificateEntryOffset, 'certificate table entry')
    const range = { offset: reader.u32('certificate table offset'), size: reader.u32('certificate table size') }
    if (range.size > 0) certificateTable = range
  }
  return {
    format: isPlus ? ('PE32+' as const) : ('PE32' as const),
    subsystem,
    sizeOfImage,
    sizeOfHeaders,
    sizeOfHeadersOffset,
    checkSumOffset,
    certificateEntryOffset,
    certificateTable,
  }
}

function readSection(reader: ByteReader): PeSection {
  const headerOffset = reader.offset
  const name = Buffer.from(reader.bytes(8, 'section name')).toString('latin1').split('\0', 1)[0] ?? ''
  const virtualSize = reader.u32(`VirtualSize of ${name}`)
  const virtualAddress = reader.u32(`VirtualAddress of ${name}`)
  const rawSize = reader.u32(`SizeOfRawData of ${name}`)
  const rawOffset = reader.u32(`PointerToRawData of ${name}`)
  reader.bytes(12, `relocations of ${name}`)
  const characteristics = reader.u32(`Characteristics of ${name}`)
  return { name, virtualSize, virtualAddress, rawSize, rawOffset, characteristics, headerOffset }
}

function checkRange(range: FileRange | undefined, fileSize: number, entryOffset: number): void {
  if (range === undefined || range.offset + range.size <= fileSize) return
  throw malformed(
    { what: WHAT, field: 'certificate table', offset: entryOffset },
    `its ${range.size} bytes at ${range.offset} end beyond the file of ${fileSize} bytes`,
  )
}

function checkInFile(sections: readonly PeSection[], sizeOfHeaders: number, fileSize: number): void {
  let end = sizeOfHeaders
  let previous = 'the headers'
  const stored = sections.filter((section) => section.rawSize > 0).sort((a, b) => a.rawOffset - b.rawOffset)
  for (const section of stored) {
    const place = { what: WHAT, field: `PointerToRawData of ${section.name}`, offset: section.headerOffset + 20 }
    const sectionEnd = section.rawOffset + section.rawSize
    if (sectionEnd > fileSize) {
      throw malformed(
        place,
        `its ${section.rawSize} bytes at ${section.rawOffset} end beyond the file of ${fileSize} bytes`,
      )
    }
    if (section.rawOffset < end)
      throw malformed(place, `starts at ${section.rawOffset}, but ${previous} ends at ${end}`)
    end = sectionEnd
    previous = section.name
  }
}

function checkInMemory(sections: readonly PeSection[], sizeOfImage: number): void {
  let end = 0
  let previous = ''
  const mapped = sections
    .filter((section) => section.virtualSize > 0)
    .sort((a, b) => a.virtualAddress - b.virtualAddress)
  for (const section of mapped) {
    const place = { what: WHAT, field: `VirtualAddress of ${section.name}`, offset: section.headerOffset + 12 }
    const sectionEnd = section.virtualAddress + section.virtualSize
    if (sectionEnd > sizeOfImage) {
      throw malformed(place, `its memory ends at ${sectionEnd}, beyond SizeOfImage ${sizeOfImage}`)
    }
    if (section.virtualAddress < end) {
      throw malformed(place, `starts at ${section.virtualAddress}, but ${previous} ends at ${end}`)
    }
    end = sectionEnd
    previous = section.name
  }
}
