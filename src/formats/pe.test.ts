import { describe, expect, it } from 'vitest'
import { damaged, expectResultOrMalformed, garbage } from './garbage.test-support.ts'
import { parsePe } from './index.ts'

interface Section {
  name: string
  virtualSize: number
  virtualAddress: number
  rawSize: number
  rawOffset: number
}

const PE_OFFSET = 0x80
const FILE_SIZE = 0x1000
const linux: Section = { name: '.linux', virtualSize: 5, virtualAddress: 0x1000, rawSize: 0x200, rawOffset: 0x400 }
const profile: Section = { ...linux, name: '.profile', virtualAddress: 0x2000, rawOffset: 0x600, virtualSize: 0x900 }
const bss: Section = { name: '.bss', virtualSize: 64, virtualAddress: 0x3000, rawSize: 0, rawOffset: 0 }

interface Shape {
  plus?: boolean
  sections?: Section[]
  directories?: number
  certificate?: [offset: number, size: number]
  sizeOfImage?: number
  sizeOfHeaders?: number
}

/** A PE file of 4 KiB, written field by field. */
function peFile(shape: Shape = {}): Buffer {
  const { plus = true, sections = [linux, profile, bss], directories = 6, certificate = [0, 0] } = shape
  const file = Buffer.alloc(FILE_SIZE)
  file.write('MZ', 0)
  file.writeUInt32LE(PE_OFFSET, 0x3c)
  file.write('PE\0\0', PE_OFFSET)
  const coff = PE_OFFSET + 4
  const directoryStart = plus ? 112 : 96
  file.writeUInt16LE(plus ? 0x8664 : 0x14c, coff)
  file.writeUInt16LE(sections.length, coff + 2)
  file.writeUInt32LE(1_700_000_000, coff + 4)
  file.writeUInt16LE(directoryStart + directories * 8, coff + 16)
  file.writeUInt16LE(0x22e, coff + 18)
  const optional = coff + 20
  file.writeUInt16LE(plus ? 0x20b : 0x10b, optional)
  file.writeUInt32LE(shape.sizeOfImage ?? 0x4000, optional + 56)
  file.writeUInt32LE(shape.sizeOfHeaders ?? 0x400, optional + 60)
  file.writeUInt16LE(10, optional + 68)
  file.writeUInt32LE(directories, optional + directoryStart - 4)
  if (directories > 4) {
    file.writeUInt32LE(certificate[0], optional + directoryStart + 32)
    file.writeUInt32LE(certificate[1], optional + directoryStart + 36)
  }
  for (const [index, section] of sections.entries()) {
    const at = optional + directoryStart + directories * 8 + index * 40
    file.write(section.name, at, 8, 'latin1')
    file.writeUInt32LE(section.virtualSize, at + 8)
    file.writeUInt32LE(section.virtualAddress, at + 12)
    file.writeUInt32LE(section.rawSize, at + 16)
    file.writeUInt32LE(section.rawOffset, at + 20)
    file.writeUInt32LE(0x40000040, at + 36)
  }
  return file
}

describe('parsePe()', () => {
  it('reads the headers and sections of a PE32+ file', () => {
    const pe = parsePe(peFile({ certificate: [0xf00, 0x100] }))
    expect(pe).toMatchObject({
      format: 'PE32+',
      machine: 0x8664,
      timeDateStamp: 1_700_000_000,
      subsystem: 10,
      sizeOfImage: 0x4000,
      sizeOfHeaders: 0x400,
      checkSumOffset: PE_OFFSET + 24 + 64,
      certificateEntryOffset: PE_OFFSET + 24 + 144,
      certificateTable: { offset: 0xf00, size: 0x100 },
    })
    expect(pe.sections).toMatchObject([linux, profile, bss])
  })

  it('reads a PE32 file, whose certificate entry lies 16 bytes earlier', () => {
    const pe = parsePe(peFile({ plus: false }))
    expect(pe.format).toBe('PE32')
    expect(pe.certificateEntryOffset).toBe(PE_OFFSET + 24 + 128)
    expect(pe.certificateTable).toBeUndefined()
    expect(pe.sections.map(({ name }) => name)).toEqual(['.linux', '.profile', '.bss'])
  })

  it('knows no certificate table where there are only four data directories', () => {
    expect(parsePe(peFile({ directories: 4 })).certificateEntryOffset).toBeUndefined()
  })

  it('keeps sections in table order, not file order, and equal names apart', () => {
    const second = { ...linux, virtualAddress: 0x800, rawOffset: 0x800 }
    const first = { ...linux, rawOffset: 0xa00 }
    expect(parsePe(peFile({ sections: [first, second] })).sections).toMatchObject([first, second])
  })

  it.for<[string, Shape, string, number]>([
    ['data beyond the file', { sections: [{ ...linux, rawOffset: 0xf00 }] }, 'end beyond the file', 20],
    ['data at 2^32', { sections: [{ ...linux, rawOffset: 2 ** 32 - 1 }] }, 'end beyond the file', 20],
    ['data in the headers', { sections: [{ ...linux, rawOffset: 0x200 }] }, 'but the headers ends at', 20],
    [
      'data in another section',
      { sections: [{ ...profile, rawOffset: 0x5ff }, linux] },
      'starts at 1535, but .linux ends at 1536',
      20,
    ],
    ['memory in another section', { sections: [{ ...bss, virtualAddress: 0x1004 }, linux] }, 'but .linux ends', 12],
    ['memory beyond the image', { sections: [linux], sizeOfImage: 0x1004 }, 'beyond SizeOfImage 4100', 12],
    ['4 GiB of memory', { sections: [{ ...linux, virtualSize: 2 ** 32 - 1 }] }, 'beyond SizeOfImage', 12],
  ])('rejects a section with %s, at its header', ([, shape, message, fieldOffset]) => {
    const tableOffset = PE_OFFSET + 24 + 112 + 6 * 8
    expect(() => parsePe(peFile(shape))).toThrow(message)
    expect(() => parsePe(peFile(shape))).toThrow(`at offset ${tableOffset + fieldOffset}:`)
  })

  it('rejects more sections than the file has room for', () => {
    const file = peFile()
    file.writeUInt16LE(0xffff, PE_OFFSET + 6)
    expect(() => parsePe(file)).toThrow(/^Cannot read PE file: .* at offset \d+/)
  })

  it.for<[string, Shape]>([
    ['headers that end in front of the section table', { sizeOfHeaders: 0x100 }],
    ['headers larger than the file', { sizeOfHeaders: FILE_SIZE + 1 }],
    ['a certificate table beyond the file', { certificate: [FILE_SIZE - 8, 9] }],
  ])('rejects %s', ([, shape]) => {
    expect(() => parsePe(peFile(shape))).toThrow(expect.objectContaining({ code: 'MALFORMED_INPUT' }))
  })

  it('rejects a count of data directories that the optional header cannot hold', () => {
    const file = peFile()
    file.writeUInt32LE(0xffffffff, PE_OFFSET + 24 + 108)
    expect(() => parsePe(file)).toThrow('4294967295 data directories do not fit')
  })

  it.for<[string, number, string]>([
    ['MZ', 0, 'expected "MZ"'],
    ['PE', PE_OFFSET, 'expected "PE", NUL, NUL'],
    ['optional header', PE_OFFSET + 24, 'expected 0x10b (PE32) or 0x20b (PE32+)'],
  ])('rejects a wrong %s signature', ([, offset, message]) => {
    const file = peFile()
    file[offset] = 0x7f
    expect(() => parsePe(file)).toThrow(`at offset ${offset}: ${message}`)
  })

  it('rejects every truncation that takes away a header or section data', () => {
    const file = peFile()
    for (let length = 0; length < 0x800; length++) {
      expect(
        expectResultOrMalformed(() => parsePe(file.subarray(0, length))),
        `cut at ${length}`,
      ).toBe('malformed')
    }
    expect(parsePe(file.subarray(0, 0x800)).sections).toHaveLength(3)
  })

  it('survives damage and garbage', () => {
    const outcomes = new Set<string>()
    for (let seed = 1; seed <= 2000; seed++) {
      outcomes.add(expectResultOrMalformed(() => parsePe(damaged(peFile().subarray(0, 0x800), seed))))
      expectResultOrMalformed(() => parsePe(garbage(seed, seed % 700)))
    }
    expect([...outcomes].sort()).toEqual(['malformed', 'result'])
  })
})
