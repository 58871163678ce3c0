import { describe, expect, it } from 'vitest'
import type { PeFile, PeSection } from '../formats/index.ts'
import { calculatePcr11, countProfiles, MEASURED_SECTIONS, measuredFiles, ukiProfile } from './index.ts'
import { ascii } from './log-writer.test-support.ts'

type Part = [name: string, raw: string, virtualSize?: number]

/** A file of sections one after the other, and what `parsePe()` says about it. */
function uki(parts: Part[]): { pe: PeFile; file: Buffer } {
  let rawOffset = 0
  const sections = parts.map(([name, raw, virtualSize = raw.length], index): PeSection => {
    const section = { name, virtualSize, virtualAddress: index << 16, rawSize: raw.length, rawOffset }
    rawOffset += raw.length
    return { ...section, characteristics: 0, headerOffset: 512 + index * 40 }
  })
  const pe = { format: 'PE32+', machine: 0x8664, sections } as unknown as PeFile
  return { pe, file: ascii(parts.map(([, raw]) => raw).join('')) }
}

function measured(parts: Part[], profile?: number): [string, string, number][] {
  const { pe, file } = uki(parts)
  return ukiProfile(pe, file, profile === undefined ? {} : { profile }).measured.map(({ name, bytes, size }) => [
    name,
    Buffer.from(bytes).toString('latin1'),
    size,
  ])
}

describe('ukiProfile()', () => {
  it('gives the sections in the order of measurement, without .pcrsig and foreign ones', () => {
    const names = [
      '.text',
      '.pcrsig',
      ...MEASURED_SECTIONS.toReversed().filter((name) => !/dtbauto|efifw|profile/.test(name)),
    ]
    expect(measured(names.map((name) => [name, name.slice(1)])).map(([name]) => name)).toEqual([
      '.linux',
      '.osrel',
      '.cmdline',
      '.initrd',
      '.ucode',
      '.splash',
      '.dtb',
      '.uname',
      '.sbat',
      '.pcrpkey',
      '.hwids',
    ])
  })

  it('cuts raw data at VirtualSize, and tells how many zeros follow where that is larger', () => {
    expect(
      measured([
        ['.linux', 'kernel\0\0', 6],
        ['.initrd', 'abc', 10],
      ]),
    ).toEqual([
      ['.linux', 'kernel', 6],
      ['.initrd', 'abc', 10],
    ])
  })

  it('skips sections of no size, even when they have raw data', () => {
    expect(
      measured([
        ['.linux', 'k'],
        ['.cmdline', 'padding', 0],
      ]).map(([name]) => name),
    ).toEqual(['.linux'])
  })

  it('takes the first of several sections of one name', () => {
    expect(
      measured([
        ['.linux', 'one'],
        ['.linux', 'two'],
      ]),
    ).toEqual([['.linux', 'one', 3]])
  })

  it('gives views of the file, not copies', () => {
    const { pe, file } = uki([['.linux', 'kernel']])
    expect(ukiProfile(pe, file).measured[0]?.bytes.buffer).toBe(file.buffer)
  })

  const profiles: Part[] = [
    ['.linux', 'kernel'],
    ['.cmdline', 'base'],
    ['.profile', 'ID=zero'],
    ['.profile', 'ID=one'],
    ['.cmdline', 'of one'],
    ['.profile', 'ID=two'],
    ['.dtb', 'of two'],
  ]
  it.for<[number, Part[]]>([
    [
      0,
      [
        ['.linux', 'kernel'],
        ['.cmdline', 'base'],
        ['.profile', 'ID=zero'],
      ],
    ],
    [
      1,
      [
        ['.linux', 'kernel'],
        ['.cmdline', 'of one'],
        ['.profile', 'ID=one'],
      ],
    ],
    [
      2,
      [
        ['.linux', 'kernel'],
        ['.cmdline', 'base'],
        ['.dtb', 'of two'],
        ['.profile', 'ID=two'],
      ],
    ],
  ])('gives profile %i its own sections and the base for the rest', ([profile, expected]) => {
    expect(countProfiles(uki(profiles).pe)).toBe(3)
    expect(measured(profiles, profile).map(([name, text]) => [name, text])).toEqual(expected)
  })

  it('has profile 0 where there is no .profile, and no other', () => {
    expect(countProfiles(uki([['.linux', 'k']]).pe)).toBe(1)
    expect(measured([['.linux', 'k']], 0)).toHaveLength(1)
    for (const profile of [1, -1, 0.5]) {
      expect(() => measured([['.linux', 'k']], profile)).toThrow(expect.objectContaining({ code: 'UNKNOWN_NAME' }))
    }
    expect(() => measured(profiles, 3)).toThrow('has no profile 3; it has 3, counted from 0')
  })

  it('refuses more profiles than the stub knows', () => {
    const many: Part[] = [['.linux', 'k'], ...Array.from({ length: 257 }, (): Part => ['.profile', 'p'])]
    expect(measured(many.slice(0, -1), 255)).toHaveLength(2)
    expect(() => measured(many)).toThrow('there are 257 profiles')
  })

  it('measures of .dtbauto and .efifw only what the hardware selects, and names the candidates', () => {
    const { pe, file } = uki([
      ['.linux', 'k'],
      ['.dtbauto', 'first'],
      ['.dtbauto', 'second'],
      ['.efifw', 'fw'],
    ])
    const none = ukiProfile(pe, file)
    expect(none.measured.map(({ name }) => name)).toEqual(['.linux'])
    expect(none.hardwareCandidates.map(({ name }) => name)).toEqual(['.dtbauto', '.dtbauto', '.efifw'])
    const second = ukiProfile(pe, file, { selected: pe.sections.slice(2, 3) })
    expect(second.measured.map(({ bytes }) => Buffer.from(bytes).toString())).toEqual(['k', 'second'])
  })

  it('refuses an addon, which has no kernel', () => {
    expect(() => measured([['.cmdline', 'quiet']])).toThrow(expect.objectContaining({ code: 'IMAGE_INCOMPLETE' }))
  })
})

it('measuredFiles() sorts plain files like sections and leaves out empty ones', () => {
  const files = measuredFiles({ '.initrd': ascii('b'), '.cmdline': ascii(''), '.linux': ascii('a') })
  expect(files.map(({ name, size }) => [name, size])).toEqual([
    ['.linux', 1],
    ['.initrd', 1],
  ])
})

it('a padded section and the plain file without padding have the same PCR 11', () => {
  const { pe, file } = uki([
    ['.initrd', 'foobar\n\0\0\0\0\0', 7],
    ['.linux', 'HALLO\n\0\0', 6],
  ])
  const plain = measuredFiles({ '.linux': ascii('HALLO\n'), '.initrd': ascii('foobar\n') })
  expect(calculatePcr11(ukiProfile(pe, file).measured)).toEqual(calculatePcr11(plain))
})
