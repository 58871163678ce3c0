import { crc32 } from 'node:zlib'

const SECTOR = 512
const ENTRY_SECTORS = 32
/** The first block that may belong to a partition. */
export const FIRST_USABLE = 2 + ENTRY_SECTORS

/** A disk with both copies of a GPT (UEFI 5.3) and one partition that takes all the room. */
export function gptDisk(partitionSectors: number, name = 'esp'): Buffer {
  const sectors = FIRST_USABLE + partitionSectors + ENTRY_SECTORS + 1
  const disk = Buffer.alloc(sectors * SECTOR)
  const lastUsable = FIRST_USABLE + partitionSectors - 1
  const entries = Buffer.alloc(ENTRY_SECTORS * SECTOR)
  entries.fill(0x11, 0, 16)
  entries.fill(0x22, 16, 32)
  entries.writeBigUInt64LE(BigInt(FIRST_USABLE), 32)
  entries.writeBigUInt64LE(BigInt(lastUsable), 40)
  entries.write(name, 56, 'utf16le')
  for (const [current, alternate, entriesAt] of [
    [1, sectors - 1, 2],
    [sectors - 1, 1, sectors - 1 - ENTRY_SECTORS],
  ] as const) {
    const header = Buffer.alloc(92)
    header.write('EFI PART')
    header.writeUInt32LE(0x10000, 8)
    header.writeUInt32LE(92, 12)
    header.writeBigUInt64LE(BigInt(current), 24)
    header.writeBigUInt64LE(BigInt(alternate), 32)
    header.writeBigUInt64LE(BigInt(FIRST_USABLE), 40)
    header.writeBigUInt64LE(BigInt(lastUsable), 48)
    header.fill(0x33, 56, 72)
    header.writeBigUInt64LE(BigInt(entriesAt), 72)
    header.writeUInt32LE(128, 80)
    header.writeUInt32LE(128, 84)
    header.writeUInt32LE(crc32(entries), 88)
    header.writeUInt32LE(crc32(header), 16)
    disk.set(header, current * SECTOR)
    disk.set(entries, entriesAt * SECTOR)
  }
  return disk
}
