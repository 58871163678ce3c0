import { crc32 } from 'node:zlib'
import { parseGuid } from './guid.ts'

export const ESP = 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b'
export const ROOT = '4f68bce3-e8cd-4db1-96e7-fbcaf984b709'
export const DISK = '11111111-2222-4333-8444-555555555555'
export const SECTORS = 128

export interface Entry {
  type: string
  guid: string
  first: number
  last: number
  attributes?: bigint
  name: string
}

const entries: (Entry | undefined)[] = [
  { type: ESP, guid: '00000000-0000-4000-8000-000000000001', first: 40, last: 47, name: 'esp' },
  undefined,
  {
    type: ROOT,
    guid: '00000000-0000-4000-8000-000000000003',
    first: 48,
    last: 63,
    attributes: (1n << 59n) | (1n << 63n),
    name: 'wurzel-ä_1.0 and thirty-six chars lg',
  },
]

interface Shape {
  sector?: number
  entries?: (Entry | undefined)[]
  /** Changes the header fields before its CRC is made. */
  tweak?: (header: Buffer, copy: 'primary' | 'backup') => void
}

/** A disk of 128 sectors with both copies of its GPT, written field by field. */
export function gptDisk({ sector = 512, entries: list = entries, tweak }: Shape = {}): Buffer {
  const bytes = Buffer.alloc(SECTORS * sector)
  const array = Buffer.alloc(128 * 128)
  for (const [index, entry] of list.entries()) {
    if (entry === undefined) continue
    const at = index * 128
    array.set(parseGuid(entry.type), at)
    array.set(parseGuid(entry.guid), at + 16)
    array.writeBigUInt64LE(BigInt(entry.first), at + 32)
    array.writeBigUInt64LE(BigInt(entry.last), at + 40)
    array.writeBigUInt64LE(entry.attributes ?? 0n, at + 48)
    array.write(entry.name, at + 56, 72, 'utf16le')
  }
  const arraySectors = array.byteLength / sector
  for (const copy of ['primary', 'backup'] as const) {
    const lba = copy === 'primary' ? 1 : SECTORS - 1
    const arrayLba = copy === 'primary' ? 2 : SECTORS - 1 - arraySectors
    const header = bytes.subarray(lba * sector, lba * sector + 92)
    header.write('EFI PART')
    header.writeUInt32LE(0x10000, 8)
    header.writeUInt32LE(92, 12)
    header.writeBigUInt64LE(BigInt(lba), 24)
    header.writeBigUInt64LE(BigInt(SECTORS - lba), 32)
    header.writeBigUInt64LE(34n, 40)
    header.writeBigUInt64LE(94n, 48)
    header.set(parseGuid(DISK), 56)
    header.writeBigUInt64LE(BigInt(arrayLba), 72)
    header.writeUInt32LE(128, 80)
    header.writeUInt32LE(128, 84)
    header.writeUInt32LE(crc32(array), 88)
    tweak?.(header, copy)
    header.writeUInt32LE(0, 16)
    header.writeUInt32LE(crc32(header), 16)
    bytes.set(array, arrayLba * sector)
  }
  return bytes
}
