import { parseSmbiosTable, type SmbiosStructure } from '../../../formats/index.ts'

/** A field that says which copy of a machine this is, or how it happens to run; offsets as in DMTF DSP0134. */
type Field = readonly [offset: number, kind: 'string' | number]

/** Fields that EDK2 leaves out of the measurement, by structure type: strings become spaces, numbers of so many bytes zero. */
const FIELDS: Readonly<Record<number, readonly Field[]>> = {
  1: [
    [0x07, 'string'], // Serial Number
    [0x08, 16], // UUID
    [0x18, 1], // Wake-up Type
  ],
  2: [
    [0x07, 'string'], // Serial Number
    [0x0a, 'string'], // Location in Chassis
  ],
  3: [
    [0x07, 'string'], // Serial Number
    [0x08, 'string'], // Asset Tag Number
  ],
  4: [
    [0x11, 1], // Voltage
    [0x16, 2], // Current Speed
    [0x20, 'string'], // Serial Number
    [0x21, 'string'], // Asset Tag
    [0x22, 'string'], // Part Number
    [0x23, 1], // Core Count
    [0x24, 1], // Core Enabled
    [0x25, 1], // Thread Count
    [0x2a, 2], // Core Count 2
    [0x2c, 2], // Core Enabled 2
    [0x2e, 2], // Thread Count 2
  ],
  17: [
    [0x18, 'string'], // Serial Number
    [0x19, 'string'], // Asset Tag
    [0x1a, 'string'], // Part Number
  ],
  22: [
    [0x07, 'string'], // Serial Number
    [0x10, 2], // SBDS Serial Number
    [0x12, 2], // SBDS Manufacture Date
  ],
  23: [[0x05, 2]], // Reset Count
  27: [[0x0c, 2]], // Nominal Speed
  39: [
    [0x08, 'string'], // Serial Number
    [0x09, 'string'], // Asset Tag Number
    [0x0a, 'string'], // Model Part Number
  ],
}

/** Of these nothing but the header is measured: OEM strings, event log, memory errors, boot integrity. */
const HEADER_ONLY: ReadonlySet<number> = new Set([11, 15, 18, 31, 33])
/** Types from here on are vendors' own, and nothing but their header is measured either. */
const FIRST_OEM_TYPE = 128
const HEADER_SIZE = 4

/**
 * The SMBIOS structure table as EDK2 measures it into PCR 1 (SmbiosMeasurementDxe): without what names one copy of a
 * machine. Its length stays the same. What follows the end-of-table structure is not part of it.
 */
export function measuredSmbiosTable(table: Uint8Array): Uint8Array {
  return Buffer.concat(parseSmbiosTable(table).map(measuredStructure))
}

function measuredStructure(structure: SmbiosStructure): Uint8Array {
  const bytes = Uint8Array.from(structure.bytes)
  if (HEADER_ONLY.has(structure.type) || structure.type >= FIRST_OEM_TYPE) return bytes.fill(0, HEADER_SIZE)
  for (const [offset, kind] of FIELDS[structure.type] ?? []) {
    const size = kind === 'string' ? 1 : kind
    // An older structure is shorter: what lies there then are its strings.
    if (offset + size > structure.formatted.byteLength) continue
    if (kind === 'string') blankString(bytes, structure, offset)
    bytes.fill(0, offset, offset + size)
  }
  return bytes
}

function blankString(bytes: Uint8Array, { formatted }: SmbiosStructure, offset: number): void {
  const number = bytes[offset] ?? 0
  if (number === 0) return
  let start = formatted.byteLength
  for (let left = number; left > 1; left--) {
    const end = bytes.indexOf(0, start)
    if (end === -1) return
    start = end + 1
  }
  const end = bytes.indexOf(0, start)
  bytes.fill(0x20, start, end === -1 ? start : end)
}
