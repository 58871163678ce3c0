import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { parsePe } from '../formats/index.ts'
import { authenticodeDigests, authenticodeRanges } from './index.ts'
import { peFile } from './prediction/boot/boot-disk.test-support.ts'

const file = peFile([
  ['.text', 'first'],
  ['.data', 'second'],
])
const { checkSumOffset, certificateEntryOffset = 0 } = parsePe(file)

function digest(bytes: Buffer): string {
  return Buffer.from(authenticodeDigests(parsePe(bytes), bytes, ['sha256']).get('sha256') ?? Buffer.of()).toString(
    'hex',
  )
}

function changed(change: (copy: Buffer) => void, appended = Buffer.alloc(0)): Buffer {
  const copy = Buffer.concat([file, appended])
  change(copy)
  return copy
}

/** As signing programs do: the table at the end, its place and size in the data directory. */
function signed(bytes: Buffer, table = Buffer.alloc(64, 0x5a)): Buffer {
  const copy = Buffer.concat([bytes, table])
  copy.writeUInt32LE(bytes.byteLength, certificateEntryOffset)
  copy.writeUInt32LE(table.byteLength, certificateEntryOffset + 4)
  return copy
}

describe('authenticodeDigests()', () => {
  it('leaves out the check sum and the certificate table, and nothing else', () => {
    const before = digest(file)
    for (let offset = 0; offset < file.byteLength; offset += 1) {
      const isLeftOut =
        (offset >= checkSumOffset && offset < checkSumOffset + 4) ||
        (offset >= certificateEntryOffset && offset < certificateEntryOffset + 8)
      const covered = authenticodeRanges(parsePe(file), file.byteLength).some(
        (range) => offset >= range.offset && offset < range.offset + range.size,
      )
      expect(covered, `byte ${offset}`).toBe(!isLeftOut)
    }
    expect(digest(changed((copy) => copy.writeUInt32LE(0x12345678, checkSumOffset)))).toBe(before)
    expect(digest(changed((copy) => copy.write('F', parsePe(file).sections[0]?.rawOffset ?? 0)))).not.toBe(before)
    expect(digest(changed((copy) => copy.writeUInt32LE(1, 0x80 + 8)))).not.toBe(before)
  })

  it('is the same before and after signing, whatever the certificate', () => {
    expect(digest(signed(file))).toBe(digest(file))
    expect(digest(signed(file, Buffer.alloc(8, 1)))).toBe(digest(file))
  })

  it('hashes what follows the sections, without padding it', () => {
    const trailing = changed(() => {}, Buffer.from('odd'))
    expect(digest(trailing)).not.toBe(digest(file))
    const entry = Buffer.concat([
      file.subarray(0, checkSumOffset),
      file.subarray(checkSumOffset + 4, certificateEntryOffset),
      file.subarray(certificateEntryOffset + 8),
      Buffer.from('odd'),
    ])
    expect(digest(trailing)).toBe(createHash('sha256').update(entry).digest('hex'))
    expect(digest(signed(trailing))).toBe(digest(trailing))
  })

  it('takes sections in the order of the file, not of their table', () => {
    const at = 0x80 + 24 + 240
    const swapped = changed((copy) => {
      const first = Buffer.from(copy.subarray(at, at + 40))
      copy.copyWithin(at, at + 40, at + 80)
      copy.set(first, at + 40)
    })
    const offsets = authenticodeRanges(parsePe(swapped), swapped.byteLength).map(({ offset }) => offset)
    expect(offsets).toEqual(offsets.toSorted((a, b) => a - b))
  })

  it('gives all banks, each of its size', () => {
    const digests = authenticodeDigests(parsePe(file), file, ['sha1', 'sha256', 'sha384', 'sha512'])
    expect([...digests].map(([bank, { byteLength }]) => [bank, byteLength])).toEqual([
      ['sha1', 20],
      ['sha256', 32],
      ['sha384', 48],
      ['sha512', 64],
    ])
  })
})
