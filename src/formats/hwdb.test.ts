import { describe, expect, it } from 'vitest'
import { lookUpHwdb } from './hwdb.ts'
import { hwdbFile } from './hwdb-writer.ts'

describe('lookUpHwdb()', () => {
  it('takes the later line of the later file', () => {
    const lines = [
      { pattern: 'a*', key: 'K', value: 'late file', priority: 2, line: 1 },
      { pattern: 'a*', key: 'L', value: 'early line', priority: 1, line: 1 },
      { pattern: 'ab', key: 'K', value: 'early file', priority: 1, line: 9 },
      { pattern: 'ab', key: 'L', value: 'late line', priority: 1, line: 2 },
    ]
    const both = new Map([
      ['K', 'late file'],
      ['L', 'late line'],
    ])
    expect(lookUpHwdb(hwdbFile(lines), 'ab')).toEqual(both)
    expect(lookUpHwdb(hwdbFile(lines.toReversed()), 'ab')).toEqual(both)
  })

  it('is not led in circles', () => {
    const file = hwdbFile([{ pattern: '**', key: 'K', value: 'v' }])
    const root = file.readBigUInt64LE(56)
    // The only child of the root is the root.
    file.writeBigUInt64LE(root, Number(root) + 24 + 8)
    expect(() => lookUpHwdb(file, 'x')).toThrow(/its own descendant/)
  })

  it('takes no time with many stars', () => {
    const file = hwdbFile([{ pattern: `${'*a'.repeat(500)}b`, key: 'K', value: 'v' }])
    expect(lookUpHwdb(file, 'a'.repeat(20_000))).toEqual(new Map())
  })

  it.for([
    ['nothing', Buffer.alloc(0)],
    ['zeros', Buffer.alloc(4096)],
    ['a header alone', Buffer.from('KSLPHHRH')],
  ] as const)('refuses %s', ([, bytes]) => {
    expect(() => lookUpHwdb(bytes, 'a')).toThrow(expect.objectContaining({ code: 'MALFORMED_INPUT' }))
  })
})
