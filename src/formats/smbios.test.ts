import { describe, expect, it } from 'vitest'
import { damaged, expectResultOrMalformed, garbage } from './garbage.test-support.ts'
import { parseSmbiosTable, smbiosIdentity } from './index.ts'

function structure(formattedHex: string, strings: string[] = []): Buffer {
  const set = strings.length === 0 ? '\0\0' : `${strings.join('\0')}\0\0`
  return Buffer.concat([Buffer.from(formattedHex.replaceAll(' ', ''), 'hex'), Buffer.from(set)])
}

// The structures that QEMU q35 and OVMF make (types 1, 3, 11, 0, 127), and a type 2 as -smbios type=2 makes it.
const uuid = '11111111222233448444555555555555'
const type1 = structure(`011b0001 010203 00 ${uuid} 06 0000`, ['QEMU', 'Standard PC (Q35 + ICH9, 2009)', 'pc-q35-11.1'])
const type2 = structure('020f0002 01 02 00 03 00 01 00 0003 0a 00', ['Amazon EC2', 'board', 'ec2-serial'])
const type3 = structure('03160003 01 81 02 00 00 03030302 000000000000000000', ['QEMU', 'pc-q35-11.1'])
const type11 = structure('0b05000e 02', ['io.systemd.credential:a=b', 'grüße'])
const type0 = structure('001a0000 01 02 00e8 03 00 0800000000000000 001c 00 00 ff ff 0000', [
  'Debian distribution of EDK II',
  '2026.08+ds-2',
  '09/26/2026',
])
const end = structure('7f04fffe')
const table = Buffer.concat([type1, type2, type3, type11, type0, end])

describe('parseSmbiosTable()', () => {
  it('reads structures in table order, with the bytes that are measured', () => {
    const structures = parseSmbiosTable(table)
    expect(structures.map(({ type, handle, offset }) => [type, handle, offset])).toEqual([
      [1, 0x100, 0],
      [2, 0x200, type1.length],
      [3, 0x300, type1.length + type2.length],
      [11, 0xe00, type1.length + type2.length + type3.length],
      [0, 0, table.length - end.length - type0.length],
      [127, 0xfeff, table.length - end.length],
    ])
    expect(structures[3]?.strings).toEqual(['io.systemd.credential:a=b', 'grüße'])
    expect(structures[5]?.strings).toEqual([])
    expect(structures.every(({ bytes, offset }) => table.subarray(offset, offset + bytes.length).equals(bytes))).toBe(
      true,
    )
    expect(structures.reduce((sum, { bytes }) => sum + bytes.length, 0)).toBe(table.length)
  })

  it('stops at the end-of-table structure, and does without one', () => {
    expect(parseSmbiosTable(Buffer.concat([end, Buffer.from('left over')]))).toHaveLength(1)
    expect(parseSmbiosTable(type1)).toHaveLength(1)
    expect(parseSmbiosTable(Buffer.alloc(0))).toEqual([])
  })

  it('rejects a structure shorter than its header, and one without end', () => {
    expect(() => parseSmbiosTable(Buffer.from('01030000', 'hex'))).toThrow('length at offset 1: expected at least 4')
    expect(() => parseSmbiosTable(type1.subarray(0, -1))).toThrow('string set of type 1')
    expect(() => parseSmbiosTable(Buffer.from('7f04fffe0041', 'hex'))).toThrow('expected a second NUL')
  })

  it('rejects every truncation inside a structure', () => {
    const ends = new Set(parseSmbiosTable(table).map(({ offset }) => offset))
    for (let length = 0; length < table.length; length++) {
      const outcome = expectResultOrMalformed(() => parseSmbiosTable(table.subarray(0, length)))
      expect(outcome, `cut at ${length}`).toBe(ends.has(length) ? 'result' : 'malformed')
    }
  })

  it('survives damage and garbage', () => {
    for (let seed = 1; seed <= 1000; seed++) {
      expectResultOrMalformed(() => smbiosIdentity(parseSmbiosTable(damaged(table, seed))))
      expectResultOrMalformed(() => smbiosIdentity(parseSmbiosTable(garbage(seed, seed))))
    }
  })
})

describe('smbiosIdentity()', () => {
  it('says what the machine says it is', () => {
    expect(smbiosIdentity(parseSmbiosTable(table))).toEqual({
      bios: { vendor: 'Debian distribution of EDK II', version: '2026.08+ds-2', releaseDate: '09/26/2026' },
      system: {
        manufacturer: 'QEMU',
        productName: 'Standard PC (Q35 + ICH9, 2009)',
        version: 'pc-q35-11.1',
        serialNumber: undefined,
        uuid: '11111111-2222-4433-8444-555555555555',
        skuNumber: undefined,
        family: undefined,
      },
      baseboard: {
        manufacturer: 'Amazon EC2',
        product: 'board',
        version: undefined,
        serialNumber: 'ec2-serial',
        assetTag: undefined,
      },
      chassis: { manufacturer: 'QEMU', type: 1, version: 'pc-q35-11.1', serialNumber: undefined, assetTag: undefined },
      oemStrings: ['io.systemd.credential:a=b', 'grüße'],
    })
  })

  it('has nothing to say about an empty table, a short structure or an unset UUID', () => {
    expect(smbiosIdentity([])).toMatchObject({ system: { uuid: undefined, manufacturer: undefined }, oemStrings: [] })
    expect(smbiosIdentity(parseSmbiosTable(structure('01080001 01000000', ['old']))).system).toMatchObject({
      manufacturer: 'old',
      uuid: undefined,
    })
    const unset = structure(`011b0001 00000000 ${'ff'.repeat(16)} 06 0000`)
    expect(smbiosIdentity(parseSmbiosTable(unset)).system.uuid).toBeUndefined()
  })

  it('rejects the number of a string that is not there, at its offset', () => {
    const wrong = Buffer.concat([end.subarray(0, 0), type11, structure('01080001 01020000', ['only one'])])
    expect(() => smbiosIdentity(parseSmbiosTable(wrong))).toThrow(
      `at offset ${type11.length + 5}: refers to string 2, but there are 1`,
    )
  })
})
