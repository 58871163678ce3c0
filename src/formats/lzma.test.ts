import { describe, expect, it } from 'vitest'
import { damaged, expectResultOrMalformed, garbage } from './garbage.test-support.ts'
import { decompressLzma } from './index.ts'

const sentence = Array.from({ length: 40 }, (_, index) => `${index} little firmware volumes sat in a flash; `).join('')

// What xz writes for the sentence (`--format=lzma`), with the size in its header; by the properties lc, lp and pb.
const streams: Record<string, Buffer> = {
  '3, 0, 2': Buffer.from(
    'XQAAAQCuBgAAAAAAAAAYCAoHMjmYqxU/Wpd2tvtOopMeR69gdhNmS11711WSTNwv0IOPSEFIQUxmQE7fQ4jenX8yQu5AcVg66bIM5AJJvNcyn9LU' +
      'm9gyRGqibQUH6ai+2izFq4IkdYWCbD+QqJNHLKDhzVqNg8oR3sCpKd8gJDgAYuIPMG6Mj0Fkbf/13UVA',
    'base64',
  ),
  '0, 4, 0': Buffer.from(
    'JAAQAACuBgAAAAAAAAAYCErPHwhJBrExHNVDZ+d7w8RDqGMG+9FzSCZ5vpBHt//jb665TRfsHdarWNiuXpKH0VKoEs4x5K5y0ktK0VixDaKG8DKd' +
      '7LCpMNTRyS2Ef79XAurdggvYUvaBUwmDlEBBh5SF83VtBVSzVSayYzn+pXwBDt6wqyrqP7/R/xQVVvJSs2TYeVyf/5LgEAA=',
    'base64',
  ),
  '4, 0, 4': Buffer.from(
    'uAAAEACuBgAAAAAAAAAYCAmGk8B9cOUoFRtlSR/1On61fLy8rKUAQZv2f0y+G8kMd8FMTOJb7Xey8Z84qunjXpadTM2l6Crh3AoxjkFQOjO0y+NL' +
      'JVSqfxXsVDG8DZGNE9C1B+Rovpl1+h6J84UFaLU5VCatqD3ET+lZlt7HURbngQCxuNrupSO4ViytMWgg//m2HWA=',
    'base64',
  ),
}
const zeros = Buffer.from(
  'XQAAgABADQMAAAAAAAAAb/3//6O3/0c+SBVyOWFRuJIo5qOGB/nu5B6C0y/FOjwBS7F+yYqKTS+jDdl/puOMIxFT4FkYxXWK4nf4tpR/DGrA3nRJ' +
    'ZOLpXFOyBNj3RAyrXw1tRunlw3aIt38/7ibP///6PwAA',
  'base64',
)
const stream = streams['3, 0, 2'] ?? Buffer.alloc(0)

function changed(offset: number, ...bytes: number[]): Buffer {
  const copy = Buffer.from(stream)
  copy.set(bytes, offset)
  return copy
}

describe('decompressLzma()', () => {
  it.for(Object.keys(streams))('reads what xz writes with lc, lp, pb = %s', (properties) => {
    expect(Buffer.from(decompressLzma(streams[properties] ?? stream)).toString()).toBe(sentence)
  })

  it('copies bytes that it is just writing', () => {
    const bytes = decompressLzma(zeros)
    expect(bytes.byteLength).toBe(200_000)
    expect(bytes.every((byte) => byte === 0)).toBe(true)
  })

  it('stops at the size that the header gives', () => {
    expect(Buffer.from(decompressLzma(changed(5, 20, 0))).toString()).toBe(sentence.slice(0, 20))
    expect(decompressLzma(changed(5, 0, 0))).toHaveLength(0)
  })

  it.for([
    ['properties', changed(0, 225), 'properties at offset 0: is 225'],
    ['a size above 64 MiB', changed(5, 1, 0, 0, 4), 'uncompressed size at offset 5: is 67108865'],
    ['no size', changed(5, 255, 255, 255, 255, 255, 255, 255, 255), 'uncompressed size at offset 5'],
    ['a first byte that is not zero', changed(13, 1), 'first byte at offset 13'],
    ['more output than there is input for', changed(5, 0, 0, 16), 'offset'],
  ] as const)('names %s', ([_, bytes, message]) => {
    expect(() => decompressLzma(bytes)).toThrow(message)
    expect(() => decompressLzma(bytes)).toThrow(expect.objectContaining({ code: 'MALFORMED_INPUT' }))
  })

  it('rejects every truncation that leaves something to be read', () => {
    for (let length = 0; length < stream.byteLength - 16; length++) {
      expect(expectResultOrMalformed(() => decompressLzma(stream.subarray(0, length)))).toBe('malformed')
    }
  })

  it('gives a result or an error with an offset for whatever bytes', () => {
    for (let seed = 1; seed <= 1000; seed++) {
      const noise = damaged(stream, seed)
      // The size stays as it was: it alone decides how long this takes.
      noise.set(stream.subarray(5, 13), 5)
      expectResultOrMalformed(() => decompressLzma(noise))
      expectResultOrMalformed(() => decompressLzma(garbage(seed, seed)))
    }
    const outcomes = Array.from({ length: stream.byteLength - 14 }, (_, index) =>
      expectResultOrMalformed(() => decompressLzma(changed(14 + index, (stream[14 + index] ?? 0) ^ 0x10))),
    )
    expect(new Set(outcomes)).toEqual(new Set(['result', 'malformed']))
  })
})
