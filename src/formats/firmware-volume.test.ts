import { describe, expect, it } from 'vitest'
import { damaged, expectResultOrMalformed, garbage } from './garbage.test-support.ts'
import {
  findFirmwareVolumes,
  firmwareFiles,
  firmwareSections,
  nestedFirmwareVolumes,
  parseFirmwareVolume,
  parseGuid,
} from './index.ts'

const FFS2 = '8c8ce578-8a3d-4f1c-9935-896185c32dd3'
const NV_DATA = 'fff12b8d-7696-4c8b-a985-2747075b4f50'
const LZMA = 'ee4e5898-3914-4259-9d6e-dc7bd79403cf'
const NAME = '11111111-2222-3333-4444-555555555555'
const FILE = 'aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee'
/** 64 zeros, compressed. */
const COMPRESSED_ZEROS = Buffer.from('XQAAgABAAAAAAAAAAAAAbllOk9///4ACAAA=', 'base64')

function padded(bytes: Uint8Array, boundary: number, fill = 0xff): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((boundary - (bytes.byteLength % boundary)) % boundary, fill)])
}

function section(type: number, content: Uint8Array, header: Uint8Array = new Uint8Array()): Buffer {
  const size = 4 + header.byteLength + content.byteLength
  return Buffer.concat([Buffer.of(size & 0xff, (size >> 8) & 0xff, size >> 16, type), header, content])
}

function guidSection(guid: string, content: Uint8Array): Buffer {
  return section(2, content, Buffer.concat([parseGuid(guid), Buffer.of(24, 0, 1, 0)]))
}

function file(type: number, content: Uint8Array, name = FILE): Buffer {
  const size = 24 + content.byteLength
  const header = Buffer.concat([
    parseGuid(name),
    Buffer.of(0, 0xaa, type, 0, size & 0xff, (size >> 8) & 0xff, size >> 16, 0xf8),
  ])
  header[16] = -header.reduce((sum, byte, index) => (index === 17 || index === 23 ? sum : sum + byte), 0) & 0xff
  return Buffer.concat([header, content])
}

function volume(files: readonly Uint8Array[], size = 4096, format = FFS2): Buffer {
  const bytes = Buffer.alloc(size, 0xff)
  bytes.fill(0, 0, 16)
  bytes.set(parseGuid(format), 16)
  bytes.writeBigUInt64LE(BigInt(size), 32)
  bytes.write('_FVH', 40)
  bytes.writeUInt32LE(0x800, 44)
  bytes.writeUInt16LE(0x48, 48)
  bytes.writeUInt16LE(0, 50)
  bytes.writeUInt16LE(0x48, 52)
  bytes.set([0, 2], 54)
  bytes.writeUInt32LE(size / 4096, 56)
  bytes.writeUInt32LE(4096, 60)
  bytes.fill(0, 64, 72)
  let sum = 0
  for (let at = 0; at < 0x48; at += 2) sum += bytes.readUInt16LE(at)
  bytes.writeUInt16LE(-sum & 0xffff, 50)
  bytes.set(parseGuid(NAME), 0x48)
  bytes.writeUInt32LE(20, 0x48 + 16)
  let at = 0x60
  for (const one of files) {
    bytes.set(one, at)
    at += padded(one, 8).byteLength
  }
  return bytes
}

const inner = volume([file(7, section(0x19, Buffer.from('payload')))])
const image = file(0x0b, Buffer.concat([padded(section(0x19, Buffer.of(1)), 4, 0), section(0x17, inner)]))
const outer = volume([file(0xf0, Buffer.alloc(5, 0xff)), image, file(7, section(0x10, Buffer.from('MZ')))], 8192)

describe('findFirmwareVolumes()', () => {
  it('finds volumes that follow each other and what lies between them', () => {
    const flash = Buffer.concat([outer, Buffer.alloc(4096, 0xff), inner])
    const volumes = findFirmwareVolumes(flash)
    expect(
      volumes.map(({ offset, name, bytes, fileSystemGuid }) => [offset, name, bytes.byteLength, fileSystemGuid]),
    ).toEqual([
      [0, NAME, 8192, FFS2],
      [12288, NAME, 4096, FFS2],
    ])
  })

  it('says so when there is none', () => {
    expect(() => findFirmwareVolumes(Buffer.alloc(65536, 0xff))).toThrow('there is no "_FVH"')
    expect(() => findFirmwareVolumes(Buffer.alloc(3))).toThrow('there is no "_FVH"')
  })

  it.for([
    ['HeaderLength', 48, 0x46],
    ['Checksum', 48, 0x4a],
    ['HeaderLength', 34, 0xff],
    ['Checksum', 0, 1],
  ] as const)('names %s when byte %i is %i', ([field, offset, value]) => {
    const copy = Buffer.from(inner)
    copy[offset] = value
    expect(() => findFirmwareVolumes(copy)).toThrow(`${field} at offset`)
  })
})

describe('firmwareFiles()', () => {
  it('reads files in order, without padding', () => {
    const files = firmwareFiles(parseFirmwareVolume(outer))
    expect(files.map(({ name, type, offset }) => [name, type, offset])).toEqual([
      [FILE, 0x0b, 0x80],
      [FILE, 0x07, 0x80 + padded(image, 8).byteLength],
    ])
    expect(firmwareSections(files[1]?.content ?? Buffer.of()).map(({ type, content }) => [type, content])).toEqual([
      [0x10, Buffer.from('MZ')],
    ])
  })

  it('rejects a volume that holds no files', () => {
    expect(() => firmwareFiles(parseFirmwareVolume(volume([], 4096, NV_DATA)))).toThrow('is no file system')
  })

  it('names a header that is damaged, with its offset in the flash', () => {
    const copy = Buffer.from(inner)
    copy[0x60] = 0
    expect(() => firmwareFiles(parseFirmwareVolume(copy, 4096))).toThrow('file IntegrityCheck at offset 4208')
  })
})

describe('firmwareSections()', () => {
  it('reads sizes of 32 bits', () => {
    const large = Buffer.concat([Buffer.of(0xff, 0xff, 0xff, 0x19, 12, 0, 0, 0), Buffer.from('data')])
    expect(firmwareSections(large)).toEqual([{ type: 0x19, guid: undefined, offset: 0, content: Buffer.from('data') }])
  })

  it.for([
    ['0300001900', 'Size at offset 0: is 3'],
    ['05000019', 'Size at offset 0: is 5'],
    [`20000002${'00'.repeat(16)}0400000000000000`, 'DataOffset at offset 20'],
  ])('rejects %s', ([hex, message]) => {
    expect(() => firmwareSections(Buffer.from(hex ?? '', 'hex'))).toThrow(message)
  })
})

describe('nestedFirmwareVolumes()', () => {
  it('finds a volume in a file of another one', () => {
    const [nested] = nestedFirmwareVolumes([parseFirmwareVolume(outer)])
    expect(inner.equals(nested?.bytes ?? Buffer.of())).toBe(true)
  })

  it('decompresses, and says what is wrong with what it finds there', () => {
    const zeros = volume([file(0x0b, guidSection(LZMA, COMPRESSED_ZEROS))])
    expect(() => nestedFirmwareVolumes([parseFirmwareVolume(zeros)])).toThrow('Size at offset 0: is 0')
  })

  it('passes over sections that it cannot look into', () => {
    const signed = volume([file(0x0b, guidSection(NAME, Buffer.from('signed')))])
    expect(nestedFirmwareVolumes([parseFirmwareVolume(signed)])).toEqual([])
  })

  it('does not decompress without end', () => {
    const bomb = Buffer.from(COMPRESSED_ZEROS)
    bomb.writeUInt32LE(64 * 1024 * 1024, 5)
    // Each of them is cut, so that the first one ends it; none takes more than its own 64 MiB.
    const many = Buffer.concat(Array.from({ length: 8 }, () => padded(guidSection(LZMA, bomb), 4, 0)))
    expect(() => nestedFirmwareVolumes([parseFirmwareVolume(volume([file(0x0b, many)]))])).toThrow('LZMA stream')
  })

  it('gives a result or an error with an offset for whatever bytes', () => {
    const read = (bytes: Uint8Array) => {
      const volumes = findFirmwareVolumes(bytes)
      return [volumes.map(firmwareFiles), nestedFirmwareVolumes(volumes).map(firmwareFiles)]
    }
    const outcomes = new Set<string>()
    for (let seed = 1; seed <= 500; seed++) {
      outcomes.add(expectResultOrMalformed(() => read(damaged(outer, seed))))
      expectResultOrMalformed(() => read(garbage(seed, seed * 8)))
      expectResultOrMalformed(() => firmwareSections(garbage(seed, seed)))
    }
    expect(outcomes).toEqual(new Set(['result', 'malformed']))
    for (let length = 0; length < outer.byteLength; length += 7) {
      expect(expectResultOrMalformed(() => read(outer.subarray(0, length)))).toBe('malformed')
    }
  })
})
