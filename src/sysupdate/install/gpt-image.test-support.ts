import { crc32 } from 'node:zlib'
import { parseGuid } from '../../formats/index.ts'

const MIB = 1024 * 1024
const SECTOR = 512

/** A disk with partitions of one type, one behind the other from the first mebibyte on: label and mebibytes of each. */
export function gptImage(type: string, slots: readonly (readonly [string, number])[]): Buffer {
  const entries = Buffer.alloc(128 * 128)
  let start = MIB
  for (const [index, [label, mebibytes]] of slots.entries()) {
    const at = index * 128
    entries.set(parseGuid(type), at)
    entries.set(parseGuid(`00000000-0000-4000-8000-00000000000${index + 1}`), at + 16)
    entries.writeBigUInt64LE(BigInt(start / SECTOR), at + 32)
    start += mebibytes * MIB
    entries.writeBigUInt64LE(BigInt(start / SECTOR - 1), at + 40)
    entries.write(label, at + 56, 72, 'utf16le')
  }
  const disk = Buffer.alloc(start + MIB)
  disk.fill(0x5a, MIB, start)
  disk.set([0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff, 1, 0, 0, 0], 446)
  disk.writeUInt32LE(disk.byteLength / SECTOR - 1, 458)
  disk.writeUInt16LE(0xaa55, 510)
  const last = disk.byteLength / SECTOR - 1
  for (const [lba, other, array] of [
    [1, last, 2],
    [last, 1, last - 32],
  ] as const) {
    const header = disk.subarray(lba * SECTOR, lba * SECTOR + 92)
    header.write('EFI PART')
    header.writeUInt32LE(0x10000, 8)
    header.writeUInt32LE(92, 12)
    header.writeBigUInt64LE(BigInt(lba), 24)
    header.writeBigUInt64LE(BigInt(other), 32)
    header.writeBigUInt64LE(34n, 40)
    header.writeBigUInt64LE(BigInt(last - 33), 48)
    header.set(parseGuid('99999999-2222-4333-8444-555555555555'), 56)
    header.writeBigUInt64LE(BigInt(array), 72)
    header.writeUInt32LE(128, 80)
    header.writeUInt32LE(128, 84)
    header.writeUInt32LE(crc32(entries), 88)
    header.writeUInt32LE(crc32(header), 16)
    disk.set(entries, array * SECTOR)
  }
  return disk
}
