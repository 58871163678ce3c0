import { ByteReader } from './byte-reader.ts'
import { formatGuid } from './guid.ts'
import { malformed } from './malformed.ts'

/** One structure of an SMBIOS table (DMTF DSP0134, section 6.1). */
export interface SmbiosStructure {
  readonly type: number
  readonly handle: number
  /** Offset in the table. */
  readonly offset: number
  /** The formatted area, header included: offsets in it are those of the specification. */
  readonly formatted: Uint8Array
  /** The string set; string number 1 of the specification is element 0. */
  readonly strings: readonly string[]
  /** Formatted area and string set with its closing NULs: the bytes that are measured. */
  readonly bytes: Uint8Array
}

/** What a machine says it is. A field that is absent, or whose string number is 0, is undefined. */
export interface SmbiosIdentity {
  readonly bios: {
    readonly vendor?: string | undefined
    readonly version?: string | undefined
    readonly releaseDate?: string | undefined
  }
  readonly system: {
    readonly manufacturer?: string | undefined
    readonly productName?: string | undefined
    readonly version?: string | undefined
    readonly serialNumber?: string | undefined
    /** Lower-case text; undefined when the field says that there is none (all zeros or all ones). */
    readonly uuid?: string | undefined
    readonly skuNumber?: string | undefined
    readonly family?: string | undefined
  }
  readonly baseboard: {
    readonly manufacturer?: string | undefined
    readonly product?: string | undefined
    readonly version?: string | undefined
    readonly serialNumber?: string | undefined
    readonly assetTag?: string | undefined
  }
  readonly chassis: {
    readonly manufacturer?: string | undefined
    readonly type?: number | undefined
    readonly version?: string | undefined
    readonly serialNumber?: string | undefined
    readonly assetTag?: string | undefined
  }
  /** The strings of all structures of type 11, in table order. */
  readonly oemStrings: readonly string[]
}

const WHAT = 'SMBIOS table'
const END_OF_TABLE = 127

/**
 * Reads an SMBIOS structure table (`/sys/firmware/dmi/tables/DMI`, fw_cfg `etc/smbios/smbios-tables`) in table order,
 * up to and including the end-of-table structure (type 127) or to the end of the bytes.
 */
export function parseSmbiosTable(bytes: Uint8Array): SmbiosStructure[] {
  const structures: SmbiosStructure[] = []
  const reader = new ByteReader(bytes, WHAT)
  while (reader.remaining > 0) {
    const structure = readStructure(reader, bytes)
    structures.push(structure)
    if (structure.type === END_OF_TABLE) break
  }
  return structures
}

/** Puts together what the structures of types 0, 1, 2, 3 and 11 say; of types 0 to 3 the first one counts. */
export function smbiosIdentity(structures: readonly SmbiosStructure[]): SmbiosIdentity {
  const field = (type: number, offset: number): string | undefined =>
    stringAt(
      structures.find((structure) => structure.type === type),
      offset,
    )
  const chassisType = structures.find((structure) => structure.type === 3)?.formatted[5]
  return {
    bios: { vendor: field(0, 4), version: field(0, 5), releaseDate: field(0, 8) },
    system: {
      manufacturer: field(1, 4),
      productName: field(1, 5),
      version: field(1, 6),
      serialNumber: field(1, 7),
      uuid: systemUuid(structures.find((structure) => structure.type === 1)),
      skuNumber: field(1, 25),
      family: field(1, 26),
    },
    baseboard: {
      manufacturer: field(2, 4),
      product: field(2, 5),
      version: field(2, 6),
      serialNumber: field(2, 7),
      assetTag: field(2, 8),
    },
    chassis: {
      manufacturer: field(3, 4),
      // Bit 7 tells whether the chassis has a lock.
      type: chassisType === undefined ? undefined : chassisType & 0x7f,
      version: field(3, 6),
      serialNumber: field(3, 7),
      assetTag: field(3, 8),
    },
    oemStrings: structures.filter((structure) => structure.type === 11).flatMap((structure) => structure.strings),
  }
}

function readStructure(reader: ByteReader, table: Uint8Array): SmbiosStructure {
  const offset = reader.offset
  const type = reader.u8('type')
  const length = reader.u8('length')
  if (length < 4) throw reader.malformed('length', `expected at least 4, found ${length}`, 1)
  const handle = reader.u16('handle')
  reader.bytes(length - 4, `formatted area of type ${type}`)
  const strings: string[] = []
  const field = `string set of type ${type}`
  for (;;) {
    const end = reader.rest().indexOf(0)
    if (end === -1) throw reader.malformed(field, 'has no end')
    const text = Buffer.from(reader.bytes(end, field)).toString('utf8')
    reader.u8(field)
    if (end === 0) break
    strings.push(text)
  }
  // An empty set is two NULs: the loop has seen the first one only.
  if (strings.length === 0 && reader.u8(field) !== 0) throw reader.malformed(field, 'expected a second NUL', 1)
  return {
    type,
    handle,
    offset,
    formatted: table.subarray(offset, offset + length),
    strings,
    bytes: table.subarray(offset, reader.offset),
  }
}

function stringAt(structure: SmbiosStructure | undefined, offset: number): string | undefined {
  const number = structure?.formatted[offset] ?? 0
  if (structure === undefined || number === 0) return undefined
  const text = structure.strings[number - 1]
  if (text === undefined) {
    throw malformed(
      { what: WHAT, field: `string number of type ${structure.type}`, offset: structure.offset + offset },
      `refers to string ${number}, but there are ${structure.strings.length}`,
    )
  }
  return text
}

function systemUuid(structure: SmbiosStructure | undefined): string | undefined {
  const bytes = structure?.formatted.subarray(8, 24)
  if (bytes === undefined || bytes.byteLength < 16) return undefined
  if (bytes.every((byte) => byte === 0) || bytes.every((byte) => byte === 0xff)) return undefined
  return formatGuid(bytes)
}
