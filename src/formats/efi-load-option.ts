import { ByteReader } from './byte-reader.ts'
import { malformed } from './malformed.ts'

/** Attributes of a load option (UEFI 3.1.3). */
export const LOAD_OPTION_ACTIVE = 0x001
export const LOAD_OPTION_HIDDEN = 0x008
export const LOAD_OPTION_CATEGORY_APP = 0x100

/** EFI_LOAD_OPTION: the value of `Boot####`, `Driver####`, `SysPrep####`. */
export interface EfiLoadOption {
  /** `LOAD_OPTION_…` bits. */
  readonly attributes: number
  readonly description: string
  /** Device paths, packed: the first one names what is loaded. See `parseDevicePath()`. */
  readonly filePathList: Uint8Array
  /** Where `filePathList` lies in the value. */
  readonly filePathListOffset: number
  readonly optionalData: Uint8Array
}

const WHAT = 'EFI load option'

/** Reads the value of a `Boot####` variable. Nothing is copied. */
export function parseEfiLoadOption(bytes: Uint8Array): EfiLoadOption {
  const reader = new ByteReader(bytes, WHAT)
  const attributes = reader.u32('Attributes')
  const pathSize = reader.u16('FilePathListLength')
  const units: number[] = []
  for (let unit = reader.u16('Description'); unit !== 0; unit = reader.u16('Description')) units.push(unit)
  const filePathListOffset = reader.offset
  const filePathList = reader.bytes(pathSize, 'FilePathList')
  const description = units.map((unit) => String.fromCharCode(unit)).join('')
  return { attributes, description, filePathList, filePathListOffset, optionalData: reader.rest() }
}

/** The value of a `Boot####` variable: the inverse of {@link parseEfiLoadOption}. */
export function writeEfiLoadOption(option: Omit<EfiLoadOption, 'filePathListOffset'>): Uint8Array {
  const { attributes, description, filePathList, optionalData } = option
  if (filePathList.byteLength > 0xffff) {
    throw malformed(
      { what: WHAT, field: 'FilePathListLength', offset: 4 },
      `is ${filePathList.byteLength}, more than 65535`,
    )
  }
  if (description.includes('\0')) throw malformed({ what: WHAT, field: 'Description', offset: 6 }, 'contains a zero')
  const head = Buffer.alloc(6)
  head.writeUInt32LE(attributes, 0)
  head.writeUInt16LE(filePathList.byteLength, 4)
  return Buffer.concat([head, Buffer.from(`${description}\0`, 'utf16le'), filePathList, optionalData])
}

/** The numbers in the value of `BootOrder`: 16 bits each. */
export function parseBootOrder(bytes: Uint8Array): number[] {
  const reader = new ByteReader(bytes, 'BootOrder')
  const order: number[] = []
  while (reader.remaining > 0) order.push(reader.u16('number'))
  return order
}

/** `Boot0002` for 2. */
export function bootOptionName(number: number): string {
  return `Boot${number.toString(16).toUpperCase().padStart(4, '0')}`
}
