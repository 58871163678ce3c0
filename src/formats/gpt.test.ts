import { describe, expect, it } from 'vitest'
import { damaged, expectResultOrMalformed, garbage } from './garbage.test-support.ts'
import { DISK, type Entry, ESP, gptDisk, ROOT } from './gpt-disk.test-support.ts'
import { type DiskReader, parseGpt } from './index.ts'

describe('parseGpt()', () => {
  it.for([512, 4096] as const)('reads both copies with sectors of %i bytes', (sector) => {
    const bytes = gptDisk({ sector })
    const gpt = parseGpt(bytes)
    expect(gpt).toMatchObject({ sectorSize: sector, used: 'primary' })
    expect(gpt.header).toMatchObject({
      diskGuid: DISK,
      currentLba: 1,
      alternateLba: 127,
      entryCount: 128,
      entrySize: 128,
    })
    expect(gpt.backup).toMatchObject({ state: 'valid', header: { currentLba: 127, alternateLba: 1 } })
    expect(gpt.partitions).toMatchObject([
      { number: 1, typeGuid: ESP, partitionGuid: '00000000-0000-4000-8000-000000000001', name: 'esp', attributes: 0n },
      {
        number: 3,
        typeGuid: ROOT,
        firstLba: 48,
        lastLba: 63,
        offset: 48 * sector,
        size: 16 * sector,
        attributes: 0x8800000000000000n,
        name: 'wurzel-ä_1.0 and thirty-six chars lg',
      },
    ])
    expect(Buffer.from(gpt.header.bytes).equals(bytes.subarray(sector, sector + 92))).toBe(true)
  })

  it('asks a reader for the ends of the disk only', () => {
    const bytes = gptDisk()
    const asked: [number, number][] = []
    const reader: DiskReader = {
      size: bytes.byteLength,
      read: (offset, length) => {
        asked.push([offset, length])
        return bytes.subarray(offset, offset + length)
      },
    }
    expect(parseGpt(reader, { sectorSize: 512 }).partitions).toHaveLength(2)
    expect(asked).toEqual([
      [512, 512],
      [1024, 16384],
      [127 * 512, 512],
      [95 * 512, 16384],
    ])
  })

  it('reports a reader that gives less than there should be', () => {
    const reader: DiskReader = { size: 65536, read: () => new Uint8Array(3) }
    expect(() => parseGpt(reader)).toThrow(/expected \d+ bytes, could read 3/)
  })

  it.for<[string, number]>([
    ['header', 512 + 60],
    ['header CRC', 512 + 16],
    ['partition array', 1024 + 3],
  ])('falls back to the backup copy when the primary %s is damaged, and says where', ([, offset]) => {
    const bytes = gptDisk()
    bytes[offset] = 0xa5
    const gpt = parseGpt(bytes)
    expect(gpt.used).toBe('backup')
    expect(gpt.partitions.map(({ name }) => name)).toEqual(['esp', 'wurzel-ä_1.0 and thirty-six chars lg'])
    expect(gpt.primary).toMatchObject({ state: 'damaged', error: { code: 'MALFORMED_INPUT' } })
  })

  it('finds the backup copy of a disk with 4096-byte sectors', () => {
    const bytes = gptDisk({ sector: 4096 })
    bytes.fill(0, 4096, 4096 + 92)
    expect(parseGpt(bytes)).toMatchObject({ sectorSize: 4096, used: 'backup' })
  })

  it('reports a truncated disk: its backup copy, and then its partitions, are gone', () => {
    const bytes = gptDisk()
    const gpt = parseGpt(bytes.subarray(0, 127 * 512))
    expect(gpt.used).toBe('primary')
    expect(gpt.backup).toMatchObject({ state: 'damaged', error: { detail: { offset: 127 * 512 } } })
    expect(() => parseGpt(bytes.subarray(0, 60 * 512))).toThrow('beyond the disk of 30720 bytes')
  })

  it('does not take the left-over of another table for the backup', () => {
    const bytes = gptDisk({ tweak: (header, copy) => copy === 'backup' && header.fill(7, 56, 72) })
    expect(parseGpt(bytes).backup).toMatchObject({ state: 'damaged', error: { detail: { field: 'diskGuid' } } })
  })

  it('rejects two damaged copies with the error of the primary one', () => {
    const bytes = gptDisk()
    bytes[512 + 88] = 1
    bytes[127 * 512 + 88] = 2
    expect(() => parseGpt(bytes)).toThrow('Cannot read GPT: HeaderCRC32 at offset 528')
  })

  it.for<[string, (header: Buffer) => void, string]>([
    ['a revision 2', (header) => header.writeUInt32LE(0x20000, 8), 'Revision at offset 520'],
    ['a header of 91 bytes', (header) => header.writeUInt32LE(91, 12), 'HeaderSize at offset 524'],
    ['a header of 4 GiB', (header) => header.writeUInt32LE(0xffffffff, 12), 'HeaderSize at offset 524'],
    ['another own position', (header) => header.writeBigUInt64LE(3n, 24), 'MyLBA at offset 536'],
    ['usable blocks that end before they begin', (header) => header.writeBigUInt64LE(9n, 48), 'LastUsableLBA'],
    ['4 G entries', (header) => header.writeUInt32LE(0xffffffff, 80), 'SizeOfPartitionEntry at offset 596'],
    ['entries of 4 GiB', (header) => header.writeUInt32LE(0xfffffff8, 84), 'SizeOfPartitionEntry at offset 596'],
    ['entries of 8 bytes', (header) => header.writeUInt32LE(8, 84), 'SizeOfPartitionEntry at offset 596'],
    ['entries at the end of the world', (header) => header.writeBigUInt64LE(2n ** 64n - 1n, 72), 'PartitionEntryLBA'],
    ['entries at 2^53 - 1', (header) => header.writeBigUInt64LE(2n ** 53n - 1n, 72), 'PartitionEntryLBA'],
    ['entries beyond the disk', (header) => header.writeBigUInt64LE(120n, 72), 'partition entry array'],
    ['a wrong CRC of the entries', (header) => header.writeUInt32LE(1, 88), 'partition entry array'],
  ])('rejects %s although the header CRC is right', ([, tweak, message]) => {
    expect(() => parseGpt(gptDisk({ tweak }))).toThrow(message)
  })

  const esp: Entry = { type: ESP, guid: DISK, first: 40, last: 47, name: 'esp' }
  it.for<[string, Entry[], string]>([
    ['ends before it begins', [{ ...esp, first: 48 }], 'blocks 48-47 should lie in 34-94'],
    ['begins in the table', [{ ...esp, first: 33 }], 'blocks 33-47 should lie in 34-94'],
    ['ends in the backup table', [{ ...esp, last: 95 }], 'blocks 40-95 should lie in 34-94'],
    ['overlaps another', [esp, { ...esp, first: 47, last: 50 }], 'partition 1 ends in block 47'],
  ])('rejects a partition that %s', ([, list, message]) => {
    expect(() => parseGpt(gptDisk({ entries: list }))).toThrow(message)
  })

  it('survives truncation, damage and garbage', () => {
    const bytes = gptDisk()
    for (let length = 0; length < bytes.byteLength; length += 61) {
      expectResultOrMalformed(() => parseGpt(bytes.subarray(0, length)))
    }
    for (let seed = 1; seed <= 300; seed++) {
      expectResultOrMalformed(() => parseGpt(damaged(bytes, seed)))
      expectResultOrMalformed(() => parseGpt(garbage(seed, seed * 7)))
    }
  })
})
