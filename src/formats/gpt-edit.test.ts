import { describe, expect, it } from 'vitest'
import { damaged, expectResultOrMalformed } from './garbage.test-support.ts'
import { DISK, ESP, gptDisk, ROOT, SECTORS } from './gpt-disk.test-support.ts'
import { editGpt, type GptWrite, parseGpt, repairGpt } from './index.ts'

const USR = '8484680c-9521-48c6-9c11-b0720656f69e'

function applied(disk: Uint8Array, writes: readonly GptWrite[]): Buffer {
  const after = Buffer.from(disk)
  for (const { offset, bytes } of writes) after.set(bytes, offset)
  return after
}

describe('editGpt()', () => {
  it.for([512, 4096] as const)('changes one entry of both copies, with sectors of %i bytes', (sector) => {
    const before = gptDisk({ sector })
    const writes = editGpt(before, 3, { typeGuid: USR, partitionGuid: DISK, attributes: 1n << 60n, name: 'os_2' })
    expect(writes.map(({ what }) => what)).toEqual([
      'backup entries',
      'backup header',
      'primary entries',
      'primary header',
    ])
    const gpt = parseGpt(applied(before, writes))
    expect(gpt).toMatchObject({ sectorSize: sector, used: 'primary', backup: { state: 'valid' } })
    expect(gpt.header).toMatchObject({ diskGuid: DISK, entryCount: 128, currentLba: 1, alternateLba: SECTORS - 1 })
    const changed = { number: 3, typeGuid: USR, partitionGuid: DISK, attributes: 1n << 60n, name: 'os_2', firstLba: 48 }
    const old = parseGpt(before).partitions
    expect(gpt.partitions).toMatchObject([old[0] ?? {}, changed])
    // A longer name leaves nothing behind.
    expect(Buffer.from(gpt.partitions[1]?.bytes ?? []).subarray(56 + 8, 128)).toEqual(Buffer.alloc(64))
  })

  it('leaves a table with the old entries or the new ones after each write', () => {
    const before = gptDisk()
    const writes = editGpt(before, 1, { name: 'new' })
    const names = [0, 1, 2, 3, 4].map((count) => {
      const gpt = parseGpt(applied(before, writes.slice(0, count)))
      return [gpt.used, gpt.partitions[0]?.name]
    })
    expect(names).toEqual([
      ['primary', 'esp'],
      ['primary', 'esp'],
      ['primary', 'esp'],
      ['backup', 'new'],
      ['primary', 'new'],
    ])
  })

  it('moves the backup to the end of a disk that has grown, where it is looked for', () => {
    const grown = Buffer.concat([gptDisk(), Buffer.alloc(64 * 512)])
    const writes = editGpt(grown, 1, { name: 'new' })
    const names = [1, 2, 3, 4].map((count) => {
      const gpt = parseGpt(applied(grown, writes.slice(0, count)))
      return [gpt.used, gpt.partitions[0]?.name]
    })
    expect(names).toEqual([
      ['primary', 'esp'],
      ['primary', 'esp'],
      ['backup', 'new'],
      ['primary', 'new'],
    ])
    const { header, backup } = parseGpt(applied(grown, writes))
    expect(header).toMatchObject({
      alternateLba: SECTORS + 64 - 1,
      lastUsableLba: parseGpt(grown).header.lastUsableLba,
    })
    expect(backup).toMatchObject({ state: 'valid', header: { entriesLba: SECTORS + 64 - 33 } })
  })

  it('changes nothing else: not the MBR, not a byte of a partition', () => {
    const before = Buffer.from(gptDisk())
    before.fill(0xee, 0, 512)
    before.fill(0xdd, 40 * 512, 64 * 512)
    const after = applied(before, editGpt(before, 1, { name: 'x' }))
    expect(after.subarray(0, 512)).toEqual(before.subarray(0, 512))
    expect(after.subarray(34 * 512, 95 * 512)).toEqual(before.subarray(34 * 512, 95 * 512))
  })

  it.for<[string, number]>([
    ['primary header', 512 + 60],
    ['primary entries', 1024 + 3],
    ['backup header', 127 * 512 + 60],
    ['backup entries', 95 * 512 + 3],
  ])('makes both copies whole when the %s is damaged', ([, offset]) => {
    const before = Buffer.from(gptDisk())
    before[offset] = 0xa5
    const after = parseGpt(applied(before, editGpt(before, 1, { name: 'new' })))
    expect(after).toMatchObject({ used: 'primary', primary: { state: 'valid' }, backup: { state: 'valid' } })
    expect(after.partitions.map(({ name }) => name)).toEqual(['new', 'wurzel-ä_1.0 and thirty-six chars lg'])
  })

  it.for<[string, number, Parameters<typeof editGpt>[2], string]>([
    ['no partition', 2, {}, 'no partition 2; there are: 1, 3'],
    ['a name of 37 units', 1, { name: 'x'.repeat(37) }, 'at most 36 UTF-16 units'],
    ['a name of 19 characters beyond 16 bits', 1, { name: '𝒳'.repeat(19) }, 'has 38'],
    ['a name with a NUL', 1, { name: 'a\0b' }, 'NUL'],
    ['the type of an unused entry', 1, { typeGuid: '00000000-0000-0000-0000-000000000000' }, 'unused'],
    ['65 bits of attributes', 1, { attributes: 1n << 64n }, '64 bits'],
    ['what is no GUID', 1, { partitionGuid: 'x' }, 'Expected a GUID'],
  ])('refuses %s', ([, number, change, message]) => {
    expect(() => editGpt(gptDisk(), number, change)).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', message: expect.stringContaining(message) }),
    )
  })

  it('refuses a table of which no copy is whole, and partitions that overlap, in the words of the reader', () => {
    const bytes = Buffer.from(gptDisk())
    bytes[512 + 60] = bytes[127 * 512 + 60] = 0xa5
    expect(() => editGpt(bytes, 1, {})).toThrow('Cannot read GPT: HeaderCRC32')
    const esp = { type: ESP, guid: DISK, first: 40, last: 47, name: 'esp' }
    const overlapping = gptDisk({ entries: [esp, { ...esp, type: ROOT, first: 47, last: 50 }] })
    expect(() => editGpt(overlapping, 1, {})).toThrow('partition 1 ends in block 47')
  })

  it('refuses a disk that was cut short: its backup would lie nowhere', () => {
    expect(() => editGpt(gptDisk().subarray(0, 127 * 512), 1, { name: 'x' })).toThrow('AlternateLBA at offset 544')
  })

  it('refuses to write entries over partitions', () => {
    const bytes = gptDisk({ tweak: (header) => header.writeBigUInt64LE(20n, 40) })
    expect(() => editGpt(bytes, 1, { name: 'x' })).toThrow('overlap the usable 20-94')
  })

  it('survives damage: a table that can be read, or an error', () => {
    const before = gptDisk()
    for (let seed = 1; seed <= 300; seed++) {
      const bytes = damaged(before, seed)
      expectResultOrMalformed(() => {
        const number = parseGpt(bytes).partitions[0]?.number ?? 1
        const writes = editGpt(bytes, number, { name: 'x' })
        expect(parseGpt(applied(bytes, writes)).backup.state).toBe('valid')
      })
    }
  })
})

describe('repairGpt()', () => {
  it('has nothing to write for a whole table', () => {
    expect(repairGpt(gptDisk())).toEqual([])
  })

  it.for<['primary' | 'backup', number]>([
    ['primary', 1024 + 3],
    ['backup', 127 * 512 + 60],
  ])('writes the damaged %s copy and nothing else', ([copy, offset]) => {
    const whole = gptDisk()
    const bytes = Buffer.from(whole)
    bytes[offset] = 0xa5
    const writes = repairGpt(bytes)
    expect(writes.map(({ what }) => what)).toEqual([`${copy} entries`, `${copy} header`])
    expect(applied(bytes, writes).equals(whole)).toBe(true)
  })
})
