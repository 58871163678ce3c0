import { formatGuid } from '../../formats/index.ts'
import { quoted } from './quoted.ts'

/** A field of a structure: where it is, and how its value is written. */
interface Field {
  readonly name: string
  readonly offset: number
  readonly length: number
  readonly text: (bytes: Buffer) => string
}

const HEADER_BYTES = 92
const ENTRY_BYTES = 128
const ENTRIES_OFFSET = HEADER_BYTES + 8
const SHOWN_DIFFERENCES = 8

const number = (bytes: Buffer): string =>
  String(bytes.byteLength === 4 ? bytes.readUInt32LE() : bytes.readBigUInt64LE())
const hex = (bytes: Buffer): string => `0x${Buffer.from(bytes).reverse().toString('hex')}`
const name = (bytes: Buffer): string => quoted(bytes.toString('utf16le').replace(/\0.*$/s, ''))
const guid = (bytes: Buffer): string => formatGuid(bytes)

/** EFI_PARTITION_TABLE_HEADER (UEFI 5.3.2). The checksums follow from the rest, and are told only if nothing else differs. */
const HEADER: readonly Field[] = [
  { name: 'block of this header', offset: 24, length: 8, text: number },
  { name: 'block of the other header', offset: 32, length: 8, text: number },
  { name: 'first usable block', offset: 40, length: 8, text: number },
  { name: 'last usable block', offset: 48, length: 8, text: number },
  { name: 'disk GUID', offset: 56, length: 16, text: guid },
  { name: 'first block of the entries', offset: 72, length: 8, text: number },
  { name: 'number of entries', offset: 80, length: 4, text: number },
]
const CHECKSUMS: readonly Field[] = [
  { name: 'checksum of the header', offset: 16, length: 4, text: hex },
  { name: 'checksum of the entries', offset: 88, length: 4, text: hex },
]
/** EFI_PARTITION_ENTRY (UEFI 5.3.3). */
const ENTRY: readonly Field[] = [
  { name: 'type', offset: 0, length: 16, text: guid },
  { name: 'GUID', offset: 16, length: 16, text: guid },
  { name: 'first block', offset: 32, length: 8, text: number },
  { name: 'last block', offset: 40, length: 8, text: number },
  { name: 'attributes', offset: 48, length: 8, text: hex },
  { name: 'name', offset: 56, length: 72, text: name },
]

/** What differs between two UEFI_GPT_DATA, field by field. */
export function gptDifference(expected: Uint8Array, found: Uint8Array): string {
  const [before, after] = [entriesOf(expected), entriesOf(found)]
  const differences = fieldDifferences(HEADER, Buffer.from(expected), Buffer.from(found))
  for (let index = 0; index < Math.max(before.length, after.length); index++) {
    const [a, b] = [before[index], after[index]]
    if (a === undefined || b === undefined) {
      const change = b === undefined ? 'without' : 'with one more,'
      differences.push(`${change} partition ${index + 1} ${title(b ?? a)}`)
    } else {
      differences.push(...fieldDifferences(ENTRY, a, b).map((field) => `partition ${index + 1} ${title(a)}: ${field}`))
    }
  }
  if (differences.length === 0)
    differences.push(...fieldDifferences(CHECKSUMS, Buffer.from(expected), Buffer.from(found)))
  const more = differences.length - SHOWN_DIFFERENCES
  const shown = differences.slice(0, SHOWN_DIFFERENCES).join('; ')
  return shown === '' ? 'another field of its header differs' : `${shown}${more > 0 ? `; and ${more} more` : ''}`
}

function entriesOf(bytes: Uint8Array): Buffer[] {
  const count = Math.max(0, Math.floor((bytes.byteLength - ENTRIES_OFFSET) / ENTRY_BYTES))
  return Array.from({ length: count }, (_, index) => {
    const start = ENTRIES_OFFSET + index * ENTRY_BYTES
    return Buffer.from(bytes.subarray(start, start + ENTRY_BYTES))
  })
}

function fieldDifferences(fields: readonly Field[], expected: Buffer, found: Buffer): string[] {
  return fields.flatMap(({ name: field, offset, length, text }) => {
    const [a, b] = [expected, found].map((bytes) => bytes.subarray(offset, offset + length)) as [Buffer, Buffer]
    return a.equals(b) ? [] : [`${field} expected ${text(a)}, found ${text(b)}`]
  })
}

function title(entry: Buffer | undefined): string {
  return entry === undefined ? '' : name(entry.subarray(56))
}
