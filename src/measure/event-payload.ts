import { ByteReader, formatDevicePath, parseDevicePath } from '../formats/index.ts'
import { BootwrightError } from '../system/index.ts'
import { unverifiedTaggedEvent } from './event-data.ts'
import type { TcgEvent } from './event-log.ts'
import * as types from './event-types.ts'

/** What the data of a record says. Digests cover it only where `checkEventData()` says so. */
export type EventPayload =
  /** A string; of which event depends on its type. */
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'separator'; readonly value: number }
  /** UEFI_VARIABLE_DATA. */
  | { readonly kind: 'variable'; readonly vendorGuid: string; readonly name: string; readonly value: Uint8Array }
  /** UEFI_IMAGE_LOAD_EVENT; the path as EDK2 prints it. */
  | { readonly kind: 'image'; readonly address: bigint; readonly length: bigint; readonly path: string }
  /** UEFI_PLATFORM_FIRMWARE_BLOB, or UEFI_PLATFORM_FIRMWARE_BLOB2, which has a description. */
  | { readonly kind: 'blob'; readonly address: bigint; readonly length: bigint; readonly description?: string }
  /** UEFI_HANDOFF_TABLE_POINTERS, or UEFI_HANDOFF_TABLE_POINTERS2, which has a description. */
  | { readonly kind: 'tables'; readonly guids: readonly string[]; readonly description?: string }
  /** UEFI_GPT_DATA. */
  | { readonly kind: 'gpt'; readonly diskGuid: string; readonly partitions: readonly string[] }
  /** TCG_PCClientTaggedEvent, with its text where it has one. */
  | { readonly kind: 'tagged'; readonly id: number; readonly text: string | undefined }
  /** TCG_EfiStartupLocalityEvent: PCR 0 begins with this number. */
  | { readonly kind: 'startup-locality'; readonly locality: number }
  /** Any other EV_NO_ACTION: the signature that it begins with, such as `Spec ID Event03`. */
  | { readonly kind: 'no-action'; readonly signature: string }
  /** Nothing that is known here, or not what its type promises. */
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }

/** Types with a structure of their own. */
const STRUCTURES: ReadonlyMap<number, (reader: ByteReader) => EventPayload | undefined> = new Map([
  [types.EV_NO_ACTION, noAction],
  [types.EV_SEPARATOR, separator],
  [types.EV_EFI_VARIABLE_DRIVER_CONFIG, variable],
  [types.EV_EFI_VARIABLE_BOOT, variable],
  [types.EV_EFI_VARIABLE_BOOT2, variable],
  [types.EV_EFI_VARIABLE_AUTHORITY, variable],
  [0x80000003, image],
  [0x80000004, image],
  [0x80000005, image],
  [types.EV_EFI_GPT_EVENT, gpt],
  [0x80000008, blob],
  [0x80000009, tables],
  [0x8000000a, (reader) => ({ description: description(reader), ...blob(reader) })],
  [0x8000000b, (reader) => ({ description: description(reader), ...tables(reader) })],
  [0x8000000d, gpt],
])
const SIGNATURE_BYTES = 16
const GPT_HEADER_BYTES = 92
const GPT_ENTRY_BYTES = 128
/** EFI_GUIDs in front of a pointer of 8 bytes. */
const TABLE_BYTES = 24
const MAX_PARTITIONS = 256
const MAX_PATH_BYTES = 4096

/** Type and data of a record, or of a predicted one. */
export type LoggedData = Pick<TcgEvent, 'untrustedType' | 'unverifiedData'>

/** Reads the data of a record by its type. Never fails: data that is not what its type promises is `bytes`. */
export function unverifiedPayload(event: LoggedData): EventPayload {
  const { untrustedType: type, unverifiedData: bytes } = event
  try {
    const payload = read(event, type, bytes)
    if (payload !== undefined) return payload
  } catch (error) {
    if (!(error instanceof BootwrightError) || error.code !== 'MALFORMED_INPUT') throw error
  }
  return { kind: 'bytes', bytes }
}

function read(event: LoggedData, type: number, bytes: Uint8Array): EventPayload | undefined {
  const structure = STRUCTURES.get(type)
  if (structure !== undefined) return structure(new ByteReader(bytes, types.eventTypeName(type)))
  const tagged = unverifiedTaggedEvent(event)
  if (tagged !== undefined) return { kind: 'tagged', id: tagged.id, text: textOf(tagged.bytes) }
  const text = textOf(bytes)
  return text === undefined ? undefined : { kind: 'text', text }
}

function separator(reader: ByteReader): EventPayload | undefined {
  return reader.remaining === 4 ? { kind: 'separator', value: reader.u32('value') } : undefined
}

function variable(reader: ByteReader): EventPayload {
  const vendorGuid = reader.guid('VariableName')
  const nameUnits = reader.safeU64('UnicodeNameLength')
  const valueBytes = reader.safeU64('VariableDataLength')
  const name = Buffer.from(reader.bytes(nameUnits * 2, 'UnicodeName')).toString('utf16le')
  return { kind: 'variable', vendorGuid, name, value: reader.bytes(valueBytes, 'VariableData') }
}

function image(reader: ByteReader): EventPayload {
  const address = reader.u64('ImageLocationInMemory')
  const length = reader.u64('ImageLengthInMemory')
  reader.u64('ImageLinkTimeAddress')
  const pathBytes = reader.safeU64('LengthOfDevicePath')
  const path = reader.bytes(Math.min(pathBytes, MAX_PATH_BYTES), 'DevicePath')
  return { kind: 'image', address, length, path: path.byteLength === 0 ? '' : formatDevicePath(parseDevicePath(path)) }
}

function blob(reader: ByteReader): EventPayload & { readonly kind: 'blob' } {
  return { kind: 'blob', address: reader.u64('BlobBase'), length: reader.u64('BlobLength') }
}

/** BlobDescription and TableDescription: ASCII behind a byte with its length. */
function description(reader: ByteReader): string {
  return textOf(reader.bytes(reader.u8('DescriptionSize'), 'Description')) ?? ''
}

/** All structures of EV_NO_ACTION begin with 16 bytes of signature. */
function noAction(reader: ByteReader): EventPayload | undefined {
  const signature = textOf(reader.bytes(SIGNATURE_BYTES, 'signature'))
  if (signature === 'StartupLocality') return { kind: 'startup-locality', locality: reader.u8('startupLocality') }
  return signature === undefined ? undefined : { kind: 'no-action', signature }
}

function tables(reader: ByteReader): EventPayload & { readonly kind: 'tables' } {
  const count = Math.min(reader.safeU64('NumberOfTables'), Math.floor(reader.remaining / TABLE_BYTES))
  const guids = Array.from({ length: count }, () => {
    const guid = reader.guid('VendorGuid')
    reader.u64('VendorTable')
    return guid
  })
  return { kind: 'tables', guids }
}

function gpt(reader: ByteReader): EventPayload {
  const header = reader.part(GPT_HEADER_BYTES, 'UEFIPartitionHeader')
  header.bytes(56, 'header')
  const diskGuid = header.guid('DiskGUID')
  const count = Math.min(reader.safeU64('NumberOfPartitions'), MAX_PARTITIONS)
  const partitions = Array.from({ length: count }, () => {
    const entry = reader.part(GPT_ENTRY_BYTES, 'Partition')
    entry.bytes(56, 'entry')
    return Buffer.from(entry.bytes(72, 'PartitionName')).toString('utf16le').replace(/\0.*$/s, '')
  })
  return { kind: 'gpt', diskGuid, partitions }
}

/** Printable text in ASCII or UTF-16, with or without a NUL at its end. */
function textOf(bytes: Uint8Array): string | undefined {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  // A second byte that is not zero is no ASCII in UTF-16.
  return (
    (buffer[1] === 0 && buffer.length % 2 === 0 ? asciiText(buffer, 'utf16le') : undefined) ??
    asciiText(buffer, 'latin1')
  )
}

function asciiText(buffer: Buffer, encoding: 'utf16le' | 'latin1'): string | undefined {
  const text = buffer.toString(encoding)
  const end = text.endsWith('\0') ? text.slice(0, -1) : text
  return /^[\x20-\x7e\t\n]+$/.test(end) ? end : undefined
}

/** The data of a record in one line. */
export function payloadText(payload: EventPayload): string {
  switch (payload.kind) {
    case 'text':
      return payload.text.replaceAll('\n', '\\n')
    case 'separator':
      return payload.value === 0 ? 'separator' : `separator 0x${payload.value.toString(16)}: an error of the firmware`
    case 'variable':
      return `${payload.name} (${payload.value.byteLength} bytes, ${payload.vendorGuid})`
    case 'image':
      return `${payload.path || 'an image'} (${payload.length} bytes)`
    case 'blob':
      return `${named(payload)}${payload.length} bytes at 0x${payload.address.toString(16)}`
    case 'tables':
      return `${named(payload)}tables ${payload.guids.join(', ')}`
    case 'gpt':
      return `disk ${payload.diskGuid}, partitions ${payload.partitions.map((name) => JSON.stringify(name)).join(', ')}`
    case 'tagged':
      return `${payload.text ?? 'tagged event'} (tag ${payload.id.toString(16).padStart(8, '0')})`
    case 'startup-locality':
      return `locality ${payload.locality}: PCR 0 begins with it`
    case 'no-action':
      return payload.signature
    case 'bytes':
      return payload.bytes.byteLength === 0 ? '' : `${payload.bytes.byteLength} bytes`
  }
}

function named({ description }: { readonly description?: string }): string {
  return description === undefined || description === '' ? '' : `${description}, `
}
