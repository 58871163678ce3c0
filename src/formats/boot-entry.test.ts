import { describe, expect, it } from 'vitest'
import {
  efiPath,
  efiText,
  matchesEntryPattern,
  parseBootCounter,
  parseBootEntry,
  parseLoaderConf,
  parseOsRelease,
} from './index.ts'

const entry = (text: string) => parseBootEntry(Buffer.from(text))

describe('parseBootEntry()', () => {
  it('reads an entry with everything', () => {
    const text = `# a comment
title\tDebian "forky"
sort-key   debian
version 6.12-1
machine-id 0123
linux /debian//6.12/linux
initrd /debian/6.12/initrd
initrd \\more
options  root=LABEL=x
options quiet\r
extra /loader/keys/a.cred
architecture x64
devicetree /a.dtb
profile 2
grub_users nobody
`
    expect(entry(text)).toEqual({
      kind: 'linux',
      target: '\\debian\\6.12\\linux',
      title: 'Debian "forky"',
      sortKey: 'debian',
      version: '6.12-1',
      machineId: '0123',
      initrds: ['\\debian\\6.12\\initrd', '\\more'],
      options: 'root=LABEL=x quiet',
      extras: ['\\loader\\keys\\a.cred'],
      architecture: 'x64',
      profile: 2,
    })
  })

  it('takes the last of several values, and the last file of one kind', () => {
    expect(entry('uki /a\nuki /b\nversion 1\nversion 2')).toMatchObject({ kind: 'uki', target: '\\b', version: '2' })
  })

  it('is nothing without a file to start, or with two kinds of them', () => {
    for (const text of ['', 'title x', 'linux /a\nefi /b', 'linux', '#linux /a']) {
      expect(entry(text), text).toBeUndefined()
    }
  })

  it('leaves an URL as it is, and ends at a NUL', () => {
    expect(entry('uki-url https://example.org//a.efi\0linux /b')?.target).toBe('https://example.org//a.efi')
  })

  it('tells no options from empty ones', () => {
    expect(entry('linux /a')).not.toHaveProperty('options')
    expect(entry('linux /a\noptions ""')?.options).toBe('')
  })
})

it('parseLoaderConf() reads what decides on the entry', () => {
  const conf = parseLoaderConf(Buffer.from('timeout 0\ndefault "debian-*"\n  preferred\t@saved \neditor no\n'))
  expect(conf).toEqual({ default: 'debian-*', preferred: '@saved' })
  expect(parseLoaderConf(Buffer.of())).toEqual({})
})

it('parseOsRelease() takes quotes of both kinds off', () => {
  const os = parseOsRelease(Buffer.from(`ID=debian\nNAME='a b'\nIMAGE_ID="cloud"\n\n#X=y\nNOTHING\nVERSION=="1"`))
  expect(Object.fromEntries(os)).toEqual({ ID: 'debian', NAME: 'a b', IMAGE_ID: 'cloud', VERSION: '1' })
})

describe('parseBootCounter()', () => {
  it.for<[string, string, [string, number, number]]>([
    ['foo+3.efi', '.efi', ['foo.efi', 3, 0]],
    ['foo+3-1.efi', '.efi', ['foo.efi', 3, 1]],
    ['foo+bar+0-12.CONF', '.conf', ['foo+bar.CONF', 0, 12]],
  ])('reads %s', ([name, suffix, [stem, left, done]]) => {
    expect(parseBootCounter(name, suffix)).toEqual({ name: stem, left, done })
  })

  it.for([
    'foo.efi',
    'foo+.efi',
    'foo+3x.efi',
    'foo+3-.efi',
    'foo+3.conf',
    'foo+3-1',
    'cloud-7.2.12+deb14-amd64.efi',
    'foo+9999999999.efi',
  ])('finds none in %s', (name) => {
    expect(parseBootCounter(name, '.efi')).toBeUndefined()
  })
})

describe('matchesEntryPattern()', () => {
  it.for<[string, string, boolean]>([
    ['cloud_1.efi', 'cloud_1.efi', true],
    ['cloud_1.efi', 'cloud_1xefi', false],
    ['cloud_*', 'cloud_1.efi', true],
    ['*', '', true],
    ['*.efi', 'a.conf', false],
    ['**a*', 'bab', true],
    ['cloud_?.efi', 'cloud_1.efi', true],
    ['cloud_?.efi', 'cloud_.efi', false],
    ['[a-c]x', 'bx', true],
    ['[a-c]x', 'dx', false],
    ['[]-]x', ']x', true],
    ['[]-]x', '-x', true],
    ['[!a]', 'b', false],
    ['[^a]', '^', true],
    ['[.-0]', '/', true],
    ['[c-a]', 'b', false],
    ['[a', 'a', false],
    ['a\\*', 'a*', true],
    ['a\\*', 'ab', false],
    ['a\\', 'a', false],
    ['(a|b)+', '(a|b)+', true],
    ['(a|b)+', 'a', false],
  ])('%s fits %s: %s', ([pattern, text, expected]) => {
    expect(matchesEntryPattern(pattern, text)).toBe(expected)
  })
})

it('efiText() keeps what fits into 16 bits, up to the first NUL', () => {
  expect(efiText(Buffer.from('a\u00e4\u20ac\u{1f600}b\0c'))).toBe('a\u00e4\u20acb')
  expect(efiText(Buffer.of(0x61, 0xff, 0x62, 0xc3))).toBe('ab')
})

it('efiPath() makes one backslash of any separators', () => {
  expect(efiPath('/EFI//Linux\\/a.efi')).toBe('\\EFI\\Linux\\a.efi')
})

it('matchesEntryPattern() takes no time for patterns made to take it', () => {
  expect(matchesEntryPattern(`${'a*'.repeat(100)}b`, 'a'.repeat(250))).toBe(false)
  expect(matchesEntryPattern(`${'*a'.repeat(100)}*`, 'a'.repeat(250))).toBe(true)
})

it('keyValueLines() and efiText() take no time for long blanks, and no text without end', () => {
  expect(parseLoaderConf(Buffer.from(`default${' '.repeat(1_000_000)}x y${' '.repeat(1_000_000)}z\n`)).default).toMatch(
    /^x y +z$/,
  )
  expect(() => efiText(Buffer.alloc(20_000_000, 'x'))).toThrow(expect.objectContaining({ code: 'MALFORMED_INPUT' }))
})
