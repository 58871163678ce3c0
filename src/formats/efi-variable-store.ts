import { ByteReader } from './byte-reader.ts'
import { parseGuid } from './guid.ts'
import { malformed } from './malformed.ts'

/** Attributes of a variable (UEFI 8.2). */
export const EFI_VARIABLE_NON_VOLATILE = 0x01
export const EFI_VARIABLE_BOOTSERVICE_ACCESS = 0x02
export const EFI_VARIABLE_RUNTIME_ACCESS = 0x04
export const EFI_VARIABLE_TIME_BASED_AUTHENTICATED_WRITE_ACCESS = 0x20

export interface EfiVariableName {
  readonly name: string
  /** As lower-case text. */
  readonly vendorGuid: string
}

export interface EfiVariable extends EfiVariableName {
  /** `EFI_VARIABLE_…` bits. */
  readonly attributes: number
  readonly data: Uint8Array
  readonly monotonicCount: bigint
  /** An EFI_TIME of 16 bytes, of the last write of a variable with time-based authentication; else zeroes. */
  readonly timestamp: Uint8Array
  readonly publicKeyIndex: number
}

/** What is written: the rest stays as it was, or is zero in a new variable. */
export type EfiVariableChange = Pick<EfiVariable, 'name' | 'vendorGuid' | 'attributes' | 'data'> &
  Partial<Pick<EfiVariable, 'monotonicCount' | 'timestamp' | 'publicKeyIndex'>>

/** The variable store of a firmware volume, as OVMF keeps it in its flash. */
export interface EfiVariableStore {
  /** Variables that count, in the order of the store. */
  readonly variables: readonly EfiVariable[]
  /** Offset and size of the store in the volume, with its header. */
  readonly offset: number
  readonly size: number
  /** Bytes taken, by deleted variables too: the firmware throws those away when it needs the room. */
  readonly usedBytes: number
  readonly deletedCount: number
}

const WHAT = 'EFI variable store'
/** EFI_SYSTEM_NV_DATA_FV_GUID: a volume that holds variables and what protects their writing. */
const NV_DATA_VOLUME = 'fff12b8d-7696-4c8b-a985-2747075b4f50'
const VOLUME_SIGNATURE = 0x4856465f // "_FVH"
const MINIMUM_VOLUME_HEADER_SIZE = 0x48
/** EFI_AUTHENTICATED_VARIABLE_GUID (edk2, AuthenticatedVariableFormat.h): the other formats are not of this decade. */
const AUTHENTICATED_STORE = 'aaf32c78-947b-439a-a180-2e144ec37792'
const STORE_HEADER_SIZE = 28
const STORE_FORMATTED = 0x5a
const STORE_HEALTHY = 0xfe
const VARIABLE_START = 0x55aa
const VARIABLE_HEADER_SIZE = 60
const TIMESTAMP_SIZE = 16
const ERASED = 0xff

/** Flash can only clear bits, so each state has fewer of them than the one before. */
const ADDED = 0x3f
/** Its successor is being written: it counts unless that is there. */
const ADDED_IN_DELETION = 0x3e

/** The whole file with variables, FTW work space and spare area; no firmware has a larger one. */
const MAX_VOLUME_BYTES = 64 * 1024 * 1024

/**
 * Reads the variables of an NV data volume, such as OVMF_VARS.fd: the volume's header (PI, volume 3), the store's, and
 * entries up to the first erased one. Bounded by the input; whatever does not fit is `MALFORMED_INPUT`.
 *
 * An entry whose writing was cut off counts no more than it does for the firmware.
 */
export function parseEfiVariableStore(bytes: Uint8Array): EfiVariableStore {
  const { offset, size } = locateStore(bytes)
  const found: { variable: EfiVariable; state: number }[] = []
  let deletedCount = 0
  let position = offset + STORE_HEADER_SIZE
  const end = offset + size
  while (position + VARIABLE_HEADER_SIZE <= end) {
    const entry = readEntry(bytes, position, end)
    if (entry === undefined) break
    if (entry.state === ADDED || entry.state === ADDED_IN_DELETION) found.push(entry)
    else deletedCount++
    position = entry.next
  }
  const complete = new Set(found.filter(({ state }) => state === ADDED).map(({ variable }) => keyOf(variable)))
  const live = found.filter(({ variable, state }) => state === ADDED || !complete.has(keyOf(variable)))
  return {
    variables: live.map(({ variable }) => variable),
    offset,
    size,
    usedBytes: Math.min(position, end) - offset,
    deletedCount: deletedCount + found.length - live.length,
  }
}

/**
 * The volume with a variable added, or replaced where it stands. Deleted entries are gone from the result; everything
 * outside the store (FTW work space, spare area) is as it was. `MALFORMED_INPUT` when there is no room.
 */
export function withEfiVariable(bytes: Uint8Array, change: EfiVariableChange): Uint8Array {
  const { variables } = parseEfiVariableStore(bytes)
  const key = keyOf(change)
  const old = variables.find((variable) => keyOf(variable) === key)
  const changed: EfiVariable = {
    monotonicCount: 0n,
    timestamp: new Uint8Array(TIMESTAMP_SIZE),
    publicKeyIndex: 0,
    ...old,
    ...change,
  }
  return writeStore(
    bytes,
    old === undefined
      ? [...variables, changed]
      : variables.map((variable) => (keyOf(variable) === key ? changed : variable)),
  )
}

/** The volume without a variable; the same variables where it has none of that name. */
export function withoutEfiVariable(bytes: Uint8Array, name: EfiVariableName): Uint8Array {
  const { variables } = parseEfiVariableStore(bytes)
  return writeStore(
    bytes,
    variables.filter((variable) => keyOf(variable) !== keyOf(name)),
  )
}

function keyOf({ name, vendorGuid }: EfiVariableName): string {
  return `${vendorGuid.toLowerCase()} ${name}`
}

function locateStore(bytes: Uint8Array): { offset: number; size: number } {
  if (bytes.byteLength > MAX_VOLUME_BYTES) {
    throw malformed(
      { what: WHAT, field: 'volume', offset: 0 },
      `has ${bytes.byteLength} bytes, more than ${MAX_VOLUME_BYTES}`,
    )
  }
  const volume = new ByteReader(bytes, WHAT)
  volume.bytes(16, 'ZeroVector')
  const kind = volume.guid('FileSystemGuid')
  if (kind !== NV_DATA_VOLUME) throw volume.malformed('FileSystemGuid', `is ${kind}, expected ${NV_DATA_VOLUME}`, 16)
  const volumeSize = volume.safeU64('FvLength')
  if (volumeSize > bytes.byteLength) {
    throw volume.malformed('FvLength', `is ${volumeSize}, but there are ${bytes.byteLength} bytes`, 8)
  }
  const signature = volume.u32('Signature')
  if (signature !== VOLUME_SIGNATURE) throw volume.malformed('Signature', 'is not "_FVH"', 4)
  volume.u32('Attributes')
  const headerSize = volume.u16('HeaderLength')
  if (headerSize < MINIMUM_VOLUME_HEADER_SIZE || headerSize % 2 !== 0 || headerSize + STORE_HEADER_SIZE > volumeSize) {
    throw volume.malformed('HeaderLength', `is ${headerSize}, of a volume of ${volumeSize} bytes`, 2)
  }
  const words = new ByteReader(bytes.subarray(0, headerSize), WHAT)
  let sum = 0
  while (words.remaining > 0) sum = (sum + words.u16('Checksum')) & 0xffff
  if (sum !== 0) throw volume.malformed('Checksum', `is wrong by 0x${sum.toString(16)}`)
  const store = new ByteReader(bytes.subarray(headerSize, volumeSize), WHAT, headerSize)
  const format = store.guid('store Signature')
  if (format !== AUTHENTICATED_STORE) {
    throw store.malformed('store Signature', `is ${format}, expected ${AUTHENTICATED_STORE}`, 16)
  }
  const size = store.u32('store Size')
  if (size < STORE_HEADER_SIZE || headerSize + size > volumeSize) {
    throw store.malformed('store Size', `is ${size}, in a volume of ${volumeSize} bytes`, 4)
  }
  const marks = [store.u8('store Format'), store.u8('store State')]
  if (marks[0] !== STORE_FORMATTED || marks[1] !== STORE_HEALTHY) {
    throw store.malformed('store State', `is ${marks}, expected ${STORE_FORMATTED},${STORE_HEALTHY}`, 2)
  }
  return { offset: headerSize, size }
}

/** The entry at an offset and where the next one begins; undefined where the store is erased. */
function readEntry(
  bytes: Uint8Array,
  start: number,
  end: number,
): { variable: EfiVariable; state: number; next: number } | undefined {
  const reader = new ByteReader(bytes.subarray(start, end), WHAT, start)
  const startId = reader.u16('StartId')
  if (startId === 0xffff) return undefined
  if (startId !== VARIABLE_START) throw reader.malformed('StartId', `is 0x${startId.toString(16)}, expected 0x55aa`, 2)
  const state = reader.u8('State')
  reader.u8('Reserved')
  const attributes = reader.u32('Attributes')
  const monotonicCount = reader.u64('MonotonicCount')
  const timestamp = Uint8Array.from(reader.bytes(TIMESTAMP_SIZE, 'TimeStamp'))
  const publicKeyIndex = reader.u32('PubKeyIndex')
  const nameSize = reader.u32('NameSize')
  const dataSize = reader.u32('DataSize')
  const vendorGuid = reader.guid('VendorGuid')
  const header = { attributes, monotonicCount, timestamp, publicKeyIndex, vendorGuid }
  // The writing was cut off in the header: the firmware takes the sizes for zero then.
  const isTorn = state === ERASED || [attributes, nameSize, dataSize].includes(0xffffffff)
  if (isTorn)
    return { variable: { ...header, name: '', data: new Uint8Array() }, state: ERASED, next: aligned(reader.offset) }
  const encoded = reader.bytes(nameSize, 'Name')
  if (nameSize < 2 || nameSize % 2 !== 0 || encoded.at(-1) !== 0 || encoded.at(-2) !== 0) {
    throw reader.malformed('Name', `of ${nameSize} bytes is not UTF-16 that ends with a zero`, nameSize)
  }
  const name = Buffer.from(encoded.subarray(0, -2)).toString('utf16le')
  if (name.includes('\0')) throw reader.malformed('Name', 'contains a zero', nameSize)
  const data = Uint8Array.from(reader.bytes(dataSize, 'Data'))
  return { variable: { ...header, name, data }, state, next: aligned(reader.offset) }
}

/** Entries begin at multiples of 4; offsets count from the volume, whose headers keep to that. */
function aligned(offset: number): number {
  return (offset + 3) & ~3
}

function writeStore(bytes: Uint8Array, variables: readonly EfiVariable[]): Uint8Array {
  const { offset, size } = parseEfiVariableStore(bytes)
  const result = Uint8Array.from(bytes)
  const end = offset + size
  let position = offset + STORE_HEADER_SIZE
  result.fill(ERASED, position, end)
  for (const variable of variables) {
    const entry = writeEntry(variable)
    if (position + entry.byteLength > end) {
      throw malformed(
        { what: WHAT, field: variable.name, offset: position },
        `needs ${entry.byteLength} bytes, but ${end - position} are left`,
        { hint: 'Delete other variables first.' },
      )
    }
    result.set(entry, position)
    position = aligned(position + entry.byteLength)
  }
  return result
}

function writeEntry(variable: EfiVariable): Uint8Array {
  const place = { what: WHAT, field: variable.name, offset: 0 }
  if (variable.name === '' || variable.name.includes('\0')) throw malformed(place, 'is no name of a variable')
  if (variable.data.byteLength === 0) {
    throw malformed(place, 'has no data', { hint: 'A variable without data is one that is deleted.' })
  }
  if (variable.timestamp.byteLength !== TIMESTAMP_SIZE) throw malformed(place, 'has a TimeStamp that is not 16 bytes')
  const name = Buffer.from(`${variable.name}\0`, 'utf16le')
  const entry = new Uint8Array(VARIABLE_HEADER_SIZE + name.byteLength + variable.data.byteLength)
  const view = new DataView(entry.buffer)
  view.setUint16(0, VARIABLE_START, true)
  view.setUint8(2, ADDED)
  view.setUint32(4, variable.attributes, true)
  view.setBigUint64(8, variable.monotonicCount, true)
  entry.set(variable.timestamp, 16)
  view.setUint32(32, variable.publicKeyIndex, true)
  view.setUint32(36, name.byteLength, true)
  view.setUint32(40, variable.data.byteLength, true)
  entry.set(parseGuid(variable.vendorGuid), 44)
  entry.set(name, VARIABLE_HEADER_SIZE)
  entry.set(variable.data, VARIABLE_HEADER_SIZE + name.byteLength)
  return entry
}
