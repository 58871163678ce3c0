import { describe, expect, it } from 'vitest'
import { FrameReader } from './framing.ts'

const text = (bytes: Uint8Array | undefined): string | undefined =>
  bytes === undefined ? undefined : `${Buffer.from(bytes)}`

function framesOf(chunks: readonly string[], maxBytes?: number): string[] {
  const reader = new FrameReader(maxBytes)
  const frames: string[] = []
  for (const chunk of chunks) {
    reader.push(Buffer.from(chunk))
    for (let frame = reader.next(); frame !== undefined; frame = reader.next()) frames.push(String(text(frame)))
  }
  return frames
}

describe('FrameReader', () => {
  it('finds the same messages however the stream is cut', () => {
    const stream = 'one\0\0three is longer\0four\0rest'
    const frames = ['one', '', 'three is longer', 'four']
    for (let size = 1; size <= stream.length; size++) {
      expect(framesOf(stream.match(new RegExp(`[^]{1,${size}}`, 'g')) ?? [])).toEqual(frames)
    }
  })

  it('keeps what has not ended, and gives it to another protocol', () => {
    const reader = new FrameReader()
    reader.push(Buffer.from('call\0raw'))
    expect(text(reader.next())).toBe('call')
    expect([reader.pendingBytes, text(reader.takeRest()), reader.pendingBytes]).toEqual([3, 'raw', 0])
    expect(reader.next()).toBeUndefined()
  })

  it('writes into nothing that was given to it', () => {
    const given = Buffer.from('first\0se')
    const reader = new FrameReader()
    reader.push(given)
    expect(text(reader.next())).toBe('first')
    reader.push(Buffer.from('cond\0'))
    expect(text(reader.next())).toBe('second')
    expect(String(given)).toBe('first\0se')
  })

  it('refuses a message that is too long, with its offset, before its end has come', () => {
    expect(framesOf(['1234\0', '1234', '\0'], 4)).toEqual(['1234', '1234'])
    const tooLong = { code: 'MALFORMED_INPUT', message: expect.stringMatching(/offset 5.*a NUL within 4 bytes/) }
    expect(() => framesOf(['1234\0', '12345'], 4)).toThrow(expect.objectContaining(tooLong))
    expect(() => framesOf(['1234\0' + '12345\0'], 4)).toThrow(expect.objectContaining(tooLong))
  })

  it('takes a message that comes byte by byte', () => {
    const reader = new FrameReader()
    for (let at = 0; at < 1_000_000; at++) reader.push(Uint8Array.of(120))
    expect([reader.next(), reader.pendingBytes]).toEqual([undefined, 1_000_000])
    reader.push(Uint8Array.of(0))
    expect(reader.next()?.length).toBe(1_000_000)
  })
})
