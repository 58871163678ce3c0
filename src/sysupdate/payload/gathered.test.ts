import { PassThrough, Readable } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { gathered } from './gathered.ts'

const KIB = 1024

/** Bytes that are not the same anywhere. */
function bytes(length: number): Buffer {
  const all = Buffer.alloc(length)
  for (let at = 0; at + 4 <= length; at += 4) all.writeUInt32LE(at, at)
  return all
}

function cut(all: Buffer, chunkBytes: number): Buffer[] {
  const chunks: Buffer[] = []
  for (let at = 0; at < all.byteLength; at += chunkBytes) chunks.push(all.subarray(at, at + chunkBytes))
  return chunks
}

describe('gathered()', () => {
  it.for([100, 3000, 64 * KIB, 100_001, 256 * KIB, 700 * KIB])(
    'gives all bytes of chunks of %i, in few pieces, each good until the next but one',
    async (chunkBytes) => {
      const all = bytes(3 * KIB * KIB + 17)
      const chunks = cut(all, chunkBytes)
      const copies: Buffer[] = []
      let before: { piece: Buffer; copy: Buffer } | undefined
      for await (const piece of gathered(Readable.from(chunks, { objectMode: false }))) {
        // Whoever writes it meanwhile must not see it change.
        await turn()
        if (before !== undefined) expect(before.piece.equals(before.copy)).toBe(true)
        before = { piece, copy: Buffer.from(piece) }
        copies.push(before.copy)
      }
      expect(Buffer.concat(copies).equals(all)).toBe(true)
      expect(Math.max(...copies.map(({ byteLength }) => byteLength))).toBeLessThanOrEqual(256 * KIB)
      expect(copies.length).toBeLessThanOrEqual(Math.max(13, chunks.length * 4))
    },
  )

  it('does not wait for more than there is', async () => {
    const source = new PassThrough()
    const pieces = gathered(source)
    source.write('one')
    expect((await pieces.next()).value?.toString()).toBe('one')
    const second = pieces.next()
    await turn()
    source.write('two')
    expect((await second).value?.toString()).toBe('two')
    source.end()
    expect((await pieces.next()).done).toBe(true)
  })

  it('takes nothing more from a source that nobody asks', async () => {
    let given = 0
    const source = Readable.from(
      (function* () {
        for (; given < 100; given++) yield Buffer.alloc(64 * KIB)
      })(),
      { objectMode: false, highWaterMark: 64 * KIB },
    )
    const pieces = gathered(source)
    await pieces.next()
    for (let times = 0; times < 50; times++) await turn()
    expect(given).toBeLessThan(12)
    await pieces.return()
    source.destroy()
  })

  it('gives what came before an error, then the error', async () => {
    const source = new PassThrough()
    const pieces = gathered(source)
    const first = pieces.next()
    source.write('before')
    setImmediate(() => source.destroy(new Error('broken')))
    expect((await first).value?.toString()).toBe('before')
    await expect(pieces.next()).rejects.toThrow('broken')
  })

  it('rejects for a source that is closed before its end, even before anybody has asked', async () => {
    const source = new PassThrough()
    source.destroy()
    await expect(gathered(source).next()).rejects.toMatchObject({ code: 'ERR_STREAM_PREMATURE_CLOSE' })
  })
})
