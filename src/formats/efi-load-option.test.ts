import { describe, expect, it } from 'vitest'
import { damaged, expectResultOrMalformed, garbage } from './garbage.test-support.ts'
import {
  bootOptionName,
  formatDevicePath,
  LOAD_OPTION_ACTIVE,
  parseBootOrder,
  parseDevicePath,
  parseEfiLoadOption,
  writeEfiLoadOption,
} from './index.ts'

// Boot0002 of an event log of OVMF.
const disk = Buffer.concat([
  Buffer.from('010000001600', 'hex'),
  Buffer.from('UEFI Misc Device\0', 'utf16le'),
  Buffer.from('02010c00d041030a000000000101060000017fff04004eac0881119f594d850ee21a522c59b2', 'hex'),
])

describe('parseEfiLoadOption()', () => {
  it('reads an option field by field', () => {
    const option = parseEfiLoadOption(disk)
    expect(option).toMatchObject({ attributes: LOAD_OPTION_ACTIVE, description: 'UEFI Misc Device' })
    expect(formatDevicePath(parseDevicePath(option.filePathList, option.filePathListOffset))).toBe(
      'PciRoot(0x0)/Pci(0x1,0x0)',
    )
    expect(option.filePathListOffset).toBe(40)
    expect(Buffer.from(option.optionalData).toString('hex')).toBe('4eac0881119f594d850ee21a522c59b2')
    expect(disk.equals(writeEfiLoadOption(option))).toBe(true)
  })

  it('rejects every truncation in front of the optional data', () => {
    for (let length = 0; length < disk.byteLength; length++) {
      const outcome = expectResultOrMalformed(() => parseEfiLoadOption(disk.subarray(0, length)))
      expect(outcome, `cut at ${length}`).toBe(length < disk.byteLength - 16 ? 'malformed' : 'result')
    }
  })

  it('gives a result or an error with an offset for whatever bytes', () => {
    for (let seed = 1; seed <= 1000; seed++) {
      for (const bytes of [damaged(disk, seed), garbage(seed, seed)]) {
        expectResultOrMalformed(() => {
          const option = parseEfiLoadOption(bytes)
          return formatDevicePath(parseDevicePath(option.filePathList, option.filePathListOffset))
        })
      }
    }
  })
})

it('writeEfiLoadOption() refuses what the format has no room for', () => {
  const option = { attributes: 1, description: 'x', filePathList: new Uint8Array(), optionalData: new Uint8Array() }
  expect(() => writeEfiLoadOption({ ...option, filePathList: new Uint8Array(65536) })).toThrow('FilePathListLength')
  expect(() => writeEfiLoadOption({ ...option, description: 'a\0b' })).toThrow('Description')
})

it('parseBootOrder() reads numbers, and bootOptionName() names them', () => {
  expect(parseBootOrder(Buffer.of(2, 0, 0x1f, 0xa0)).map(bootOptionName)).toEqual(['Boot0002', 'BootA01F'])
  expect(() => parseBootOrder(Buffer.of(2, 0, 3))).toThrow('number at offset 2')
})
