import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { checkBestBefore } from './best-before.ts'
import { parseManifest } from './manifest.ts'

const HASH = createHash('sha256').update('x').digest('hex')
const EMPTY = createHash('sha256').digest('hex')
const line = (name: string, hash = HASH): string => `${hash}  ${name}\n`
const parse = (text: string | Uint8Array) => parseManifest(typeof text === 'string' ? Buffer.from(text) : text)

describe('parseManifest()', () => {
  it('reads both kinds of lines, upper-case digits, spaces and any letters', () => {
    expect(parse(`${HASH} *os_1.raw\n${line('dir/ä b').replace(HASH, HASH.toUpperCase())}`)).toEqual([
      { name: 'os_1.raw', sha256: HASH },
      { name: 'dir/ä b', sha256: HASH },
    ])
    expect(parse('')).toEqual([])
  })

  it('counts a line that is there twice once, and refuses one name with two hashes', () => {
    expect(parse(line('a') + line('b') + line('a'))).toHaveLength(2)
    expect(() => parse(line('a') + line('b') + line('a', EMPTY))).toThrow(
      'lists "a" again at line 3, with another hash',
    )
  })

  it.for<[string, string | Uint8Array, string]>([
    ['a single space', `${HASH} a.raw.xz\n`, 'neither a space nor an asterisk in front of its name'],
    ['no space', `${HASH}a bc\n`, 'no space behind its hash'],
    ['a missing last line feed', line('a') + line('b').trimEnd(), 'line 2 does not end in a line feed'],
    ['an empty line', `${line('a')}\n${line('b')}`, 'Manifest hash at line 2 decoded to 0 bytes'],
    ['a comment', `# made by hand\n${line('a')}`, 'line 1 does not begin with a hash'],
    ['a hash of 31 bytes', line('a-file', HASH.slice(2)), 'Manifest hash at line 1 decoded to 31 bytes, refusing.'],
    ['a hash of 33 bytes', line('a', `${HASH}00`), 'no space behind its hash'],
    ['a hash with a letter that is no digit', line('a', HASH.replace(/.$/, 'g')), 'does not begin with a hash'],
    ['no name', `${HASH}  \n`, 'line 1 is too short'],
    [
      'a carriage return',
      `${HASH}  a\r\n`,
      'Invalid filename at manifest line 1, "a\\u{d}" contains a control character',
    ],
    ['a NUL byte', `${line('a')}${line('b\0c')}`, 'contains a NUL byte at offset 135'],
    ['bytes that are no UTF-8', Buffer.concat([Buffer.from(`${HASH}  `), Buffer.from([0xff, 10])]), 'not valid UTF-8'],
    ['an escaped name', `\\${line('a\\nb')}`, 'line 1 has an escaped filename'],
    ['an absolute name', line('/etc/passwd'), 'Invalid filename at manifest line 1, "/etc/passwd" is absolute'],
    ['a name that leads out', line('a/../../b'), 'Invalid filename at manifest line 1'],
    ['a name that is ..', line('..'), 'Invalid filename'],
    ['a name that begins with ./', line('./a'), 'is not normalized'],
    ['a name with //', line('a//b'), 'is not normalized'],
    ['a name that ends in /', line('a/'), 'is not normalized'],
    ['an encoded name', line('%2e%2e/b'), 'contains a percent sign'],
    ['a DEL', line('a\x7f'), 'contains a control character'],
    ['a control character of two bytes', line('a\u0085b'), 'contains a control character'],
    ['4 KiB of letters', line('ä'.repeat(2048)), 'has a part of 4096 bytes'],
  ])('refuses %s', ([, text, message]) => {
    expect(() => parse(text)).toThrow(
      expect.objectContaining({ code: 'MALFORMED_INPUT', message: expect.stringContaining(message) }),
    )
  })

  it('shows a name from elsewhere without what moves a cursor or turns the direction', () => {
    expect(() => parse(line('/\u202e\u001b[2J'))).toThrow('"/\\u{202e}\\u{1b}[2J"')
  })

  it('refuses each truncation', () => {
    const text = line('a') + line('b-longer')
    for (let length = 1; length < text.length; length++) {
      if (length === line('a').length) continue
      expect(() => parse(text.slice(0, length))).toThrow(expect.objectContaining({ code: 'MALFORMED_INPUT' }))
    }
  })

  it('refuses more than 16 MiB', () => {
    expect(() => parse(Buffer.alloc(16 * 1024 * 1024 + 1, 'a'))).toThrow('expected at most 16777216')
  })

  it('reads ten times as many lines with about ten times the work', () => {
    const text = (count: number): Buffer =>
      Buffer.from(Array.from({ length: count }, (_, index) => line(`os_${index}.raw.zst`)).join(''))
    const costs = [10_000, 100_000].map((count) => {
      const bytes = text(count)
      return Math.min(
        ...[1, 2, 3].map(() => {
          const before = process.cpuUsage()
          expect(parse(bytes)).toHaveLength(count)
          return process.cpuUsage(before).user
        }),
      )
    })
    const [few = 0, many = 0] = costs
    // What grows with the square would be a hundred times.
    expect(many / Math.max(few, 1000)).toBeLessThan(40)
  })
})

describe('checkBestBefore()', () => {
  const now = new Date('2026-03-10T12:00:00Z')
  const marker = (name: string, sha256 = EMPTY) => ({ name, sha256 })

  it('lets pass what lies ahead, and a manifest without a marker', () => {
    expect(checkBestBefore([marker('os_1.raw'), marker('BEST-BEFORE-2026-03-11')], now)).toEqual([])
    expect(checkBestBefore([], now)).toEqual([])
  })

  it.for(['2026-03-09', '2026-03-10', '1999-12-31'])('refuses one of %s', (date) => {
    const markers = [marker('BEST-BEFORE-2030-01-01'), marker(`BEST-BEFORE-${date}`)]
    expect(() => checkBestBefore(markers, now)).toThrow(
      expect.objectContaining({ code: 'UPDATE_UNTRUSTED', message: expect.stringContaining(`best before ${date}`) }),
    )
  })

  it.for<[string, string]>([
    ['BEST-BEFORE-2020-13-01', 'no date'],
    ['BEST-BEFORE-2020-02-30', 'no date'],
    ['BEST-BEFORE-tomorrow', 'no date'],
    ['old/BEST-BEFORE-2020-01-01', 'subdirectory'],
  ])('warns of %s and goes on', ([name, warning]) => {
    expect(checkBestBefore([marker(name)], now)).toEqual([expect.stringContaining(warning)])
  })

  it('warns of a marker that is no empty file, whose date counts', () => {
    expect(checkBestBefore([marker('BEST-BEFORE-2027-01-01', HASH)], now)).toEqual([
      expect.stringContaining('no empty file'),
    ])
    expect(() => checkBestBefore([marker('BEST-BEFORE-2025-01-01', HASH)], now)).toThrow('best before 2025-01-01')
  })
})
