import { describe, expect, it } from 'vitest'
import { damaged, expectResultOrMalformed, garbage } from './garbage.test-support.ts'
import { DER_INTEGER, DER_OID, type DerElement, derChild, derChildren, derOid, parseDer } from './index.ts'

// SEQUENCE { INTEGER 5, OBJECT IDENTIFIER sha256, OCTET STRING of 200 bytes }
const inner = Buffer.concat([
  Buffer.from('020105', 'hex'),
  Buffer.from('0609608648016503040201', 'hex'),
  Buffer.from('0481c8', 'hex'),
  Buffer.alloc(200, 7),
])
const sequence = Buffer.concat([Buffer.from('3081d9', 'hex'), inner])

function depth(element: DerElement, left = 20): number {
  if (left === 0 || (element.tag & 0x20) === 0) return 1
  return 1 + Math.max(0, ...derChildren(element).map((child) => depth(child, left - 1)))
}

describe('parseDer()', () => {
  it('reads an element and what it consists of, with offsets in the whole input', () => {
    const element = parseDer(sequence, 1000)
    expect(element).toMatchObject({ tag: 0x30, offset: 1000, contentOffset: 1003 })
    expect(sequence.equals(element.bytes)).toBe(true)
    expect(derChildren(element).map(({ tag, offset, contentOffset }) => [tag, offset, contentOffset])).toEqual([
      [2, 1003, 1005],
      [6, 1006, 1008],
      [4, 1017, 1020],
    ])
    expect(derOid(derChild(element, 1, DER_OID, 'algorithm'))).toBe('2.16.840.1.101.3.4.2.1')
  })

  it.for([
    ['0600', 'OBJECT IDENTIFIER'],
    ['060180', 'OBJECT IDENTIFIER'],
    ['0609ffffffffffffffff7f', 'OBJECT IDENTIFIER'],
    ['020101', 'OBJECT IDENTIFIER'],
  ])('derOid() rejects %s', ([hex, field]) => {
    expect(() => derOid(parseDer(Buffer.from(hex ?? '', 'hex')))).toThrow(field)
  })

  it('reads identifiers of all three roots', () => {
    const oid = (hex: string): string => derOid(parseDer(Buffer.from(hex, 'hex')))
    expect(oid('06052b0e03021a')).toBe('1.3.14.3.2.26')
    expect(oid('0603883703')).toBe('2.999.3')
    expect(oid('060100')).toBe('0.0')
  })

  it('derChild() says what it expected and what it found', () => {
    const element = parseDer(sequence)
    expect(() => derChild(element, 2, DER_INTEGER, 'serialNumber')).toThrow(
      'serialNumber at offset 17: expected tag 0x2, found tag 0x4',
    )
    expect(() => derChild(element, 3, DER_INTEGER, 'serialNumber')).toThrow('offset 3: expected tag 0x2, found nothing')
  })

  it.for([
    ['3080', 'length at offset 1: is indefinite'],
    ['308500000000ff', 'has 5 bytes'],
    ['1f8101', 'tag at offset 0: has more than one byte'],
    ['3084ffffffff', 'content at offset 6: needs 4294967295 bytes'],
  ])('rejects %s', ([hex, message]) => {
    expect(() => parseDer(Buffer.from(hex ?? '', 'hex'))).toThrow(message)
  })

  it('rejects every truncation', () => {
    for (let length = 0; length < sequence.byteLength; length++) {
      expect(expectResultOrMalformed(() => parseDer(sequence.subarray(0, length)))).toBe('malformed')
    }
  })

  it('gives a result or an error with an offset for whatever bytes', () => {
    for (let seed = 1; seed <= 1000; seed++) {
      expectResultOrMalformed(() => depth(parseDer(damaged(sequence, seed))))
      expectResultOrMalformed(() => depth(parseDer(garbage(seed, seed))))
    }
  })
})
