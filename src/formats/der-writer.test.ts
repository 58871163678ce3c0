import { expect, it } from 'vitest'
import { derChildren, derOid, parseDer } from './der.ts'
import {
  derBitString,
  derBoolean,
  derInteger,
  derObjectIdentifier,
  derOctetString,
  derSequence,
  derSet,
  derTime,
} from './der-writer.ts'

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

it.for([
  [0, '020100'],
  [1, '020101'],
  [127, '02017f'],
  [128, '02020080'],
  [255, '020200ff'],
  [256, '02020100'],
  [65_537, '0203010001'],
  [Buffer.from('0000ff01', 'hex'), '020300ff01'],
  [Buffer.alloc(0), '020100'],
] as const)('derInteger() writes %j', ([value, written]) => {
  expect(hex(derInteger(value))).toBe(written)
})

it.for(['1.2.840.113549.1.7.2', '2.5.4.3', '0.9.2342.19200300.100.1.25', '2.16.840.1.101.3.4.2.1'])(
  'derObjectIdentifier() writes %s as it is read',
  (dotted) => {
    expect(derOid(parseDer(derObjectIdentifier(dotted)))).toBe(dotted)
  },
)

it.for([0, 1, 127, 128, 255, 256, 65_535, 65_536])('writes the length of %i bytes as it is read', (length) => {
  const { content, bytes } = parseDer(derOctetString(new Uint8Array(length)))
  expect(content).toHaveLength(length)
  expect(bytes).toHaveLength(derOctetString(new Uint8Array(length)).length)
})

it('sorts sets, and nothing else', () => {
  const [one, two] = [derInteger(1), derInteger(2)]
  expect(derChildren(parseDer(derSet(two, one))).map(({ bytes }) => hex(bytes))).toEqual([hex(one), hex(two)])
  expect(derChildren(parseDer(derSequence(two, one))).map(({ bytes }) => hex(bytes))).toEqual([hex(two), hex(one)])
})

it('writes times with two or four digits of the year', () => {
  expect(derTime(Date.UTC(2026, 0, 2, 3, 4, 5)).toString('latin1')).toBe('\x17\x0d260102030405Z')
  expect(derTime(Date.UTC(2050, 0, 2, 3, 4, 5)).toString('latin1')).toBe('\x18\x0f20500102030405Z')
})

it('writes bits and booleans', () => {
  expect(hex(derBitString(Buffer.from('ab', 'hex')))).toBe('030200ab')
  expect(hex(derBoolean(true)) + hex(derBoolean(false))).toBe('0101ff010100')
})
