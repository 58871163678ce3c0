import { describe, expect, it } from 'vitest'
import { damaged, expectResultOrMalformed, garbage } from './garbage.test-support.ts'
import { diskOf, nthEntry, parseWriteLog, settledBefore, stepsUpTo, type WriteLog, writePoints } from './index.ts'

const SECTOR = 512
const FLUSH = 1n
const FUA = 2n
const DISCARD = 4n
const MARK = 8n

interface Record {
  sector?: number
  data?: Uint8Array
  sectors?: number
  flags?: bigint
  mark?: string
}

/** A log as dm-log-writes makes it (kernel, Documentation/admin-guide/device-mapper/log-writes.rst). */
function logOf(records: readonly Record[], counted = records.length): Buffer {
  const head = Buffer.alloc(SECTOR)
  head.writeBigUInt64LE(0x6a736677736872n, 0)
  head.writeBigUInt64LE(1n, 8)
  head.writeBigUInt64LE(BigInt(counted), 16)
  head.writeUInt32LE(SECTOR, 24)
  const parts: Uint8Array[] = [head]
  for (const {
    sector = 0,
    data = new Uint8Array(),
    sectors = data.length / SECTOR,
    flags = 0n,
    mark = '',
  } of records) {
    const entry = Buffer.alloc(SECTOR)
    entry.writeBigUInt64LE(BigInt(sector), 0)
    entry.writeBigUInt64LE(BigInt(sectors), 8)
    entry.writeBigUInt64LE(flags, 16)
    entry.writeBigUInt64LE(BigInt(mark.length), 24)
    entry.write(mark, 32)
    parts.push(entry, data)
  }
  return Buffer.concat(parts)
}

const block = (fill: number, sectors = 1) => Buffer.alloc(sectors * SECTOR, fill)

const records: Record[] = [
  { sector: 8, data: block(1, 2) },
  { flags: FLUSH },
  { sector: 8, data: block(2) },
  { sector: 100, sectors: 64, flags: DISCARD },
  { flags: MARK, mark: 'halfway' },
  { sector: 20, data: block(3), flags: FUA },
  { sector: 30, data: block(4, 4) },
]
const whole = logOf(records)

/** A disk of 64 KiB after the steps. */
function diskAfter(log: Uint8Array, steps: ReturnType<typeof stepsUpTo>): Buffer {
  const disk = Buffer.alloc(128 * SECTOR)
  for (const { kind, offset, length, dataOffset } of steps) {
    if (kind === 'write') disk.set(log.subarray(dataOffset, dataOffset + length), offset)
  }
  return disk
}

describe('parseWriteLog()', () => {
  it('reads each kind of entry, with places in bytes', () => {
    const log = parseWriteLog(diskOf(whole))
    expect(log).toMatchObject({ sectorSize: 512, uncounted: 0 })
    expect(
      log.entries.map(({ offset, length, isFlush, isFua, isDiscard, mark }) => ({
        offset,
        length,
        isFlush,
        isFua,
        isDiscard,
        mark,
      })),
    ).toEqual([
      { offset: 4096, length: 1024, isFlush: false, isFua: false, isDiscard: false, mark: undefined },
      { offset: 0, length: 0, isFlush: true, isFua: false, isDiscard: false, mark: undefined },
      { offset: 4096, length: 512, isFlush: false, isFua: false, isDiscard: false, mark: undefined },
      { offset: 51200, length: 32768, isFlush: false, isFua: false, isDiscard: true, mark: undefined },
      { offset: 0, length: 0, isFlush: false, isFua: false, isDiscard: false, mark: 'halfway' },
      { offset: 10240, length: 512, isFlush: false, isFua: true, isDiscard: false, mark: undefined },
      { offset: 15360, length: 2048, isFlush: false, isFua: false, isDiscard: false, mark: undefined },
    ])
    expect(whole[log.entries[6]?.dataOffset ?? 0]).toBe(4)
  })

  it('takes whole entries that the superblock does not count yet, and stops where nothing was written', () => {
    const log = parseWriteLog(diskOf(Buffer.concat([logOf(records, 3), Buffer.alloc(4 * SECTOR)])))
    expect(log.entries).toHaveLength(records.length)
    expect(log.uncounted).toBe(4)
  })

  it('leaves an uncounted entry out whose data is cut', () => {
    const log = parseWriteLog(diskOf(logOf(records, 3).subarray(0, -1)))
    expect(log.entries).toHaveLength(6)
  })

  it.for([
    ['another magic', (bytes: Buffer) => bytes.writeUInt8(0, 0), 'magic'],
    ['version 2', (bytes: Buffer) => bytes.writeUInt8(2, 8), 'version'],
    ['a sector size of 513', (bytes: Buffer) => bytes.writeUInt32LE(513, 24), 'sectorsize'],
    ['a sector size of 0', (bytes: Buffer) => bytes.writeUInt32LE(0, 24), 'sectorsize'],
    ['more entries than there are', (bytes: Buffer) => bytes.writeUInt8(99, 16), 'nr_entries'],
    ['an unknown flag', (bytes: Buffer) => bytes.writeUInt8(64, SECTOR + 16), 'flags'],
    ['a length of 2^60', (bytes: Buffer) => bytes.writeUInt8(16, SECTOR + 15), 'nr_sectors'],
  ] as const)('refuses %s', ([, break_, field]) => {
    const bytes = Buffer.from(whole)
    break_(bytes)
    expect(() => parseWriteLog(diskOf(bytes))).toThrow(
      expect.objectContaining({ code: 'MALFORMED_INPUT', detail: expect.objectContaining({ field }) }),
    )
  })

  it.for(Array.from({ length: 28 }, (_, length) => length))('refuses a superblock of %i bytes', (length) => {
    expect(expectResultOrMalformed(() => parseWriteLog(diskOf(whole.subarray(0, length))))).toBe('malformed')
  })

  it('survives every cut, damage and garbage', () => {
    const outcomes = new Set<string>()
    for (let length = 0; length < whole.length; length += 61) {
      outcomes.add(expectResultOrMalformed(() => parseWriteLog(diskOf(whole.subarray(0, length)))))
    }
    expect([...outcomes]).toEqual(['malformed'])
    for (let seed = 0; seed < 500; seed++) {
      outcomes.add(expectResultOrMalformed(() => parseWriteLog(diskOf(damaged(whole, seed)))))
      const noise = Buffer.concat([whole.subarray(0, SECTOR), garbage(seed, 8 * SECTOR)])
      outcomes.add(expectResultOrMalformed(() => parseWriteLog(diskOf(noise))))
    }
    expect(outcomes).toEqual(new Set(['result', 'malformed']))
  })
})

describe('points of a write log', () => {
  const log = parseWriteLog(diskOf(whole))

  it('are its flushes and forced writes', () => {
    expect(writePoints(log)).toEqual([
      { at: 2, cause: 'flush' },
      { at: 6, cause: 'fua' },
    ])
    expect(settledBefore(log, 7)).toBe(1)
    expect(settledBefore(log, 1)).toBe(0)
  })

  it('are found by the number of a write or a flush', () => {
    expect(nthEntry(log, 'write', 2)).toBe(3)
    expect(nthEntry(log, 'flush', 1)).toBe(2)
    expect(() => nthEntry(log, 'flush', 2)).toThrow('There is no flush 2 in the log; it has 1')
    expect(() => nthEntry(log, 'write', 0)).toThrow('no write 0')
  })

  it('give the disk as written up to there', () => {
    const disk = diskAfter(whole, stepsUpTo(log, 2))
    expect([disk[4096], disk[4608], disk[10240]]).toEqual([1, 1, 0])
    const later = diskAfter(whole, stepsUpTo(log, 7))
    expect([later[4096], later[4608], later[10240], later[15360]]).toEqual([2, 1, 3, 4])
    expect(stepsUpTo(log, 7).map(({ kind }) => kind)).toEqual(['write', 'write', 'discard', 'write', 'write'])
  })

  it('go on from a disk that has the first entries already', () => {
    expect([...stepsUpTo(log, 3), ...stepsUpTo(log, 7, { kind: 'exact' }, 3)]).toEqual(stepsUpTo(log, 7))
  })

  it('are refused where there are none', () => {
    for (const at of [-1, 8, 1.5]) expect(() => stepsUpTo(log, at)).toThrow('Expected a point from 0 to 7')
    expect(() => stepsUpTo(log, 7, { kind: 'lost', seed: 1 }, 5)).toThrow('Expected a point')
  })
})

describe('a power cut with writes that are not settled', () => {
  const open: Record[] = [
    { sector: 0, data: block(9) },
    { flags: FLUSH },
    ...Array.from({ length: 8 }, (_, index) => ({ sector: 8 + index * 4, data: block(index + 1, 4) })),
    { sector: 64, data: block(77), flags: FUA },
    { sector: 64, data: block(78) },
  ]
  const bytes = logOf(open)
  const log: WriteLog = parseWriteLog(diskOf(bytes))
  const seeds = Array.from({ length: 60 }, (_, seed) => seed)
  const disks = (kind: 'lost' | 'reordered' | 'torn', within?: 'sector') =>
    seeds.map((seed) =>
      diskAfter(
        bytes,
        stepsUpTo(
          log,
          12,
          kind === 'torn' ? { kind, seed, ...(within === undefined ? {} : { within }) } : { kind, seed },
        ),
      ),
    )

  it.for(['lost', 'reordered', 'torn'] as const)(
    '%s: keeps what was flushed or forced, loses some of the rest',
    (kind) => {
      const all = disks(kind)
      expect(all.every((disk) => disk[0] === 9 && (disk[64 * SECTOR] ?? 0) >= 77)).toBe(true)
      expect(new Set(all.map((disk) => disk.toString('latin1'))).size).toBeGreaterThan(5)
      expect(all).toEqual(disks(kind))
    },
  )

  it('lost: an older write never wins over a newer one that is there', () => {
    const last = disks('lost').map((disk) => disk[64 * SECTOR])
    expect(new Set(last)).toEqual(new Set([77, 78]))
  })

  it('torn: a row of whole writes, then one that is cut at a sector', () => {
    for (const disk of disks('torn')) {
      const sectors = Array.from({ length: 32 }, (_, index) => disk[(8 + index) * SECTOR] ?? 0)
      const written = sectors.indexOf(0)
      const count = written < 0 ? 32 : written
      expect(sectors.slice(count).every((byte) => byte === 0)).toBe(true)
      expect(disk[(8 + count) * SECTOR - 1]).toBe(disk[(8 + count) * SECTOR - SECTOR])
    }
  })

  it('torn within a sector: some cut is not at its end', () => {
    const halves = disks('torn', 'sector').filter((disk) =>
      Array.from({ length: 120 }, (_, index) => index).some((sector) => {
        const bytes = disk.subarray(sector * SECTOR, (sector + 1) * SECTOR)
        return bytes[0] !== bytes[SECTOR - 1]
      }),
    )
    expect(halves.length).toBeGreaterThan(10)
  })
})
