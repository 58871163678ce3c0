import { describe, expect, it } from 'vitest'
import { damaged, expectResultOrMalformed, garbage } from './garbage.test-support.ts'
import {
  type EfiSignatureList,
  efiSignatureBytes,
  efiSignatureKind,
  efiSignatureType,
  parseEfiSignatureLists,
  parseGuid,
  writeEfiSignatureLists,
} from './index.ts'

const OWNER = '77fa9abd-0359-4d32-bd60-28f4e78f784b'
const UNKNOWN = '11111111-2222-3333-4444-555555555555'

function list(type: string, ...data: Uint8Array[]): EfiSignatureList {
  const signatures = data.map((one) => ({ owner: OWNER, data: one }))
  return { type, header: new Uint8Array(), signatureSize: 16 + (data[0]?.byteLength ?? 32), signatures }
}

const certificate = list(efiSignatureType('x509'), Buffer.from('a certificate'))
const hashes = list(efiSignatureType('sha256'), Buffer.alloc(32, 1), Buffer.alloc(32, 2))
const withHeader = { ...list(UNKNOWN, Buffer.of(7)), header: Buffer.from('head') }
const empty = list(UNKNOWN)
const bytes = Buffer.from(writeEfiSignatureLists([certificate, hashes, withHeader, empty]))

describe('parseEfiSignatureLists()', () => {
  it('reads a list field by field', () => {
    const raw = Buffer.concat([
      parseGuid('c1c41626-504c-4092-aca9-41f936934328'),
      Buffer.from('4c000000 00000000 30000000'.replaceAll(' ', ''), 'hex'),
      parseGuid(OWNER),
      Buffer.alloc(32, 0xab),
    ])
    expect(parseEfiSignatureLists(raw)).toEqual([
      {
        type: efiSignatureType('sha256'),
        header: Buffer.of(),
        signatureSize: 48,
        signatures: [{ owner: OWNER, data: Buffer.alloc(32, 0xab) }],
      },
    ])
  })

  it('is the inverse of writeEfiSignatureLists(), for unknown types and empty lists too', () => {
    const lists = parseEfiSignatureLists(bytes)
    expect(lists.map(({ type, signatures }) => [efiSignatureKind(type), signatures.length])).toEqual([
      ['x509', 1],
      ['sha256', 2],
      [undefined, 1],
      [undefined, 0],
    ])
    expect(Buffer.from(lists[2]?.header ?? []).toString()).toBe('head')
    expect(bytes.equals(writeEfiSignatureLists(lists))).toBe(true)
    expect(parseEfiSignatureLists(new Uint8Array())).toEqual([])
  })

  it.for([
    ['SignatureListSize', 16, 27],
    ['SignatureListSize', 16, 0xff],
    ['SignatureSize', 24, 0],
    ['SignatureSize', 24, 16],
    ['SignatureSize', 24, 28],
    ['SignatureListSize', 20, 30],
  ] as const)('names %s at offset %i when it is %i', ([field, offset, value]) => {
    const copy = Buffer.from(bytes)
    copy[offset] = value
    expect(() => parseEfiSignatureLists(copy.subarray(0, 28 + 29))).toThrow(new RegExp(`${field} at offset \\d+`))
  })

  it('rejects every truncation inside a list', () => {
    const ends = new Set<number>()
    for (let at = 0; at < bytes.byteLength; at += bytes.readUInt32LE(at + 16)) ends.add(at)
    ends.add(bytes.byteLength)
    for (let length = 0; length <= bytes.byteLength; length++) {
      const outcome = expectResultOrMalformed(() => parseEfiSignatureLists(bytes.subarray(0, length)))
      expect(outcome, `cut at ${length}`).toBe(ends.has(length) ? 'result' : 'malformed')
    }
  })

  it('gives a result or an error with an offset for whatever bytes', () => {
    for (let seed = 1; seed <= 1000; seed++) {
      expectResultOrMalformed(() => parseEfiSignatureLists(damaged(bytes, seed)))
      expectResultOrMalformed(() => parseEfiSignatureLists(garbage(seed, seed)))
    }
  })
})

it('writeEfiSignatureLists() refuses signatures of different sizes in one list', () => {
  const mixed = list(UNKNOWN, Buffer.alloc(3), Buffer.alloc(4))
  expect(() => writeEfiSignatureLists([mixed])).toThrow('has 20 bytes with its owner, but those of its list have 19')
})

it('efiSignatureBytes() is what the firmware measures: owner, then data', () => {
  expect(Buffer.from(efiSignatureBytes({ owner: OWNER, data: Buffer.of(1, 2) })).toString('hex')).toBe(
    'bd9afa775903324dbd6028f4e78f784b0102',
  )
})
