import { expect, it } from 'vitest'
import { cpioArchive } from './cpio.ts'
import { newcArchive } from './newc-archive.ts'

it('cpioArchive() rejects an archive cut anywhere before its trailer, and never hangs', () => {
  const target = { directory: 'etc', directoryMode: 0o755, fileMode: 0o644 }
  const files = ['a', 'b'].map((name) => ({ name, content: Buffer.from(`content of ${name}`) }))
  const archive = Buffer.from(newcArchive(target, files))
  const end = archive.indexOf('TRAILER!!!') - 110
  for (let length = 1; length < end; length++) {
    try {
      expect(cpioArchive(archive.subarray(0, length)).entries.size).toBeLessThan(3)
    } catch (error) {
      expect(error).toMatchObject({ code: 'MALFORMED_INPUT' })
    }
  }
  const { entries, endOffset } = cpioArchive(Buffer.concat([archive, Buffer.from('what follows')]))
  expect([...entries.keys()]).toEqual(['etc', 'etc/a', 'etc/b'])
  expect(endOffset).toBe(archive.byteLength)
})
