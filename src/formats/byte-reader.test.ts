import { describe, expect, it } from 'vitest'
import { ByteReader } from './index.ts'

const bytes = Uint8Array.from({ length: 24 }, (_, index) => index + 1)

describe('ByteReader', () => {
  it('reads little-endian integers one after the other', () => {
    const reader = new ByteReader(bytes, 'sample')
    expect(reader.u8('a')).toBe(0x01)
    expect(reader.u16('b')).toBe(0x0302)
    expect(reader.u32('c')).toBe(0x07060504)
    expect(reader.u64('d')).toBe(0x0f0e0d0c0b0a0908n)
    expect(reader.offset).toBe(15)
    expect(reader.remaining).toBe(9)
  })

  it('gives views, not copies', () => {
    const own = Uint8Array.from(bytes)
    const view = new ByteReader(own, 'sample').bytes(4, 'head')
    own[0] = 99
    expect(view[0]).toBe(99)
  })

  it('reads bytes that are themselves a view into a larger buffer', () => {
    expect(new ByteReader(bytes.subarray(8), 'sample').u16('a')).toBe(0x0a09)
  })

  it('names input, field, offset and what is missing', () => {
    const reader = new ByteReader(bytes.subarray(0, 6), 'sample')
    reader.u32('head')
    expect(() => reader.u32('tail')).toThrow(
      expect.objectContaining({
        code: 'MALFORMED_INPUT',
        message: 'Cannot read sample: tail at offset 4: needs 4 bytes, but 2 are left',
        detail: { what: 'sample', field: 'tail', offset: 4 },
      }),
    )
  })

  it('does not move on when a read fails', () => {
    const reader = new ByteReader(bytes.subarray(0, 2), 'sample')
    expect(() => reader.u32('a')).toThrow()
    expect(reader.u16('b')).toBe(0x0201)
  })

  it.for([-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 32, 25])('refuses to take %d bytes', (length) => {
    expect(() => new ByteReader(bytes, 'sample').bytes(length, 'x')).toThrow('Cannot read sample: x at offset 0')
  })

  it.for([-1, 25, 1.5])('refuses to seek to %d', (offset) => {
    expect(() => new ByteReader(bytes, 'sample').seek(offset, 'x')).toThrow('outside 0-24')
  })

  it('keeps offsets of the whole input in a part, and stays inside it', () => {
    const reader = new ByteReader(bytes, 'sample')
    reader.u64('skipped')
    const part = reader.part(4, 'part', 'inner')
    expect(part.u32('all')).toBe(0x0c0b0a09)
    expect(() => part.u8('more')).toThrow('Cannot read inner: more at offset 12: needs 1 bytes, but 0 are left')
    expect(() => part.seek(7, 'x')).toThrow('outside 8-12')
    expect(reader.offset).toBe(12)
  })

  it('refuses a u64 that no length can have', () => {
    expect(() => new ByteReader(new Uint8Array(8).fill(0xff), 'sample').safeU64('size')).toThrow('is too large')
    expect(new ByteReader(Uint8Array.of(0, 0, 0, 0, 1, 0, 0, 0), 'sample').safeU64('size')).toBe(2 ** 32)
  })
})
