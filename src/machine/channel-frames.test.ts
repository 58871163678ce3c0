import { isDeepStrictEqual } from 'node:util'
import { describe, expect, it } from 'vitest'
import { type Frame, FrameParser } from './channel-frames.ts'

const A = 'a'.repeat(32)
const B = 'b'.repeat(32)
const BANNER = 'the banner'

type Seen = string | { kind: string; boundary: string; data?: string; exitCode?: number }

function parser(): { parser: FrameParser; seen: Seen[] } {
  const seen: Seen[] = []
  return {
    seen,
    parser: new FrameParser(BANNER, {
      onBanner: () => seen.push(BANNER),
      onFrame: (frame: Frame) => seen.push('data' in frame ? { ...frame, data: frame.data.toString('latin1') } : frame),
    }),
  }
}

const STREAM = Buffer.from(
  [
    `BdsDxe: loading\n\n${BANNER}\n`,
    `${A} o\nout\0\xff\n${B} x 0\nhalf ${A.slice(1)}\n${A}${A}\n`,
    `${A} e\n${A}\n${B} o\n${'x'.repeat(10_000)}${B}\n`,
    `${A} x 137\n${B} a\n${B} p\n${B} O\n${B} E\n${B} x 0\n`,
  ].join(''),
  'latin1',
)

const FRAMES: Seen[] = [
  BANNER,
  { kind: 'o', boundary: A, data: `out\0\xff\n${B} x 0\nhalf ${A.slice(1)}\n${A}` },
  { kind: 'e', boundary: A, data: '' },
  { kind: 'o', boundary: B, data: 'x'.repeat(10_000) },
  { kind: 'x', boundary: A, exitCode: 137 },
  { kind: 'a', boundary: B },
  { kind: 'p', boundary: B },
  { kind: 'O', boundary: B },
  { kind: 'E', boundary: B },
  { kind: 'x', boundary: B, exitCode: 0 },
]

describe('FrameParser', () => {
  it.for([1, 2, 7, 31, 32, 33, 64, 1000, 100_000])('finds the same frames in pieces of %i bytes', (size) => {
    const { parser: frames, seen } = parser()
    for (let start = 0; start < STREAM.length; start += size) frames.push(STREAM.subarray(start, start + size))
    expect(seen).toEqual(FRAMES)
  })

  it('finds the banner again after a break anywhere', () => {
    for (let cut = 0; cut < STREAM.length; cut += cut < 400 || cut > 10_300 ? 1 : 500) {
      const { parser: frames, seen } = parser()
      frames.push(STREAM.subarray(0, cut))
      frames.restart()
      const before = seen.length
      frames.push(Buffer.from(`\n${BANNER}\n${A} x 1\n`))
      expect(seen.slice(before).slice(-2)).toEqual([BANNER, { kind: 'x', boundary: A, exitCode: 1 }])
    }
  })

  it('finds a banner that came before the news of the break, wherever that was', () => {
    for (let cut = 0; cut < STREAM.length; cut += cut < 400 || cut > 10_300 ? 1 : 500) {
      const { parser: frames, seen } = parser()
      frames.push(STREAM.subarray(0, cut))
      frames.push(Buffer.from(`\n${BANNER}\n${A} x 1\n`))
      const last = { kind: 'x', boundary: A, exitCode: 1 }
      if (!isDeepStrictEqual(seen.at(-1), last)) frames.restart()
      expect(seen.slice(-2)).toEqual([BANNER, last])
    }
  })

  it('keeps nothing of a line that never ends', () => {
    const { parser: frames, seen } = parser()
    for (let megabyte = 0; megabyte < 50; megabyte++) frames.push(Buffer.alloc(1024 * 1024, 'x'))
    frames.push(Buffer.from(`\n${BANNER}\n`))
    expect(seen).toEqual([BANNER])
  })
})
