import { gzipSync, zstdCompressSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { initrdFiles } from './initrd.ts'
import { newcArchive } from './newc-archive.ts'

const TARGET = { directory: 'etc', directoryMode: 0o755, fileMode: 0o644 }
const archive = (name: string, text: string) => newcArchive(TARGET, [{ name, content: Buffer.from(text) }])
const read = (initrd: Uint8Array) =>
  [...initrdFiles(initrd)].filter(([path]) => path !== 'etc').map(([path, bytes]) => `${path}: ${Buffer.from(bytes)}`)

describe('initrdFiles()', () => {
  const plain = archive('plain', 'a')
  const whole = Buffer.concat([
    plain,
    Buffer.alloc(-plain.byteLength & 511),
    zstdCompressSync(Buffer.concat([archive('zstd', 'b'), archive('twice', 'first')])),
    Buffer.alloc(3),
    zstdCompressSync(archive('next', 'c')),
    zstdCompressSync(archive('twice', 'second')),
    gzipSync(archive('gzip', 'd')),
    Buffer.alloc(5),
  ])

  it('has those of every archive, compressed or not, the later before the earlier', () => {
    expect(read(whole)).toEqual(['etc/plain: a', 'etc/zstd: b', 'etc/twice: second', 'etc/next: c', 'etc/gzip: d'])
    expect(read(Buffer.alloc(0))).toEqual([])
  })

  it('reads what is left, or refuses, wherever it is cut', () => {
    for (let size = 0; size < whole.byteLength; size++) {
      try {
        expect(read(whole.subarray(0, size)).length).toBeLessThan(6)
      } catch (error) {
        expect(error).toMatchObject({ code: 'MALFORMED_INPUT' })
      }
    }
  })

  it.for([
    [
      'another compression',
      Buffer.concat([plain, Buffer.from('BZh9')]),
      `archive at offset ${plain.byteLength}: expected cpio`,
    ],
    ['garbage in one that it knows', Buffer.from('28b52ffd00000000', 'hex'), 'archive at offset 0'],
    [
      'garbage in an archive',
      zstdCompressSync(Buffer.from('no archive at all'.repeat(20))),
      'no whole member at offset 0',
    ],
  ] as const)('refuses %s', ([, bytes, message]) => {
    expect(() => initrdFiles(bytes)).toThrow(
      expect.objectContaining({ code: 'MALFORMED_INPUT', message: expect.stringContaining(message) }),
    )
  })
})
