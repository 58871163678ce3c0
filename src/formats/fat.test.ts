import { describe, expect, it } from 'vitest'
import { type FatShape, fatImage } from './fat-writer.test-support.ts'
import { damaged, expectResultOrMalformed, garbage } from './garbage.test-support.ts'
import { type DiskReader, diskOf, FatVolume } from './index.ts'

const big = Buffer.from(garbage(1, 5_000))
const files = {
  'EFI/BOOT/BOOTX64.EFI': Buffer.from('boot'),
  'EFI/Linux/cloud-7.2.12+deb14-cloud-amd64.efi': big,
  'EFI/Linux/empty.efi': Buffer.alloc(0),
  'loader/loader.conf': Buffer.from('timeout 0\n'),
  'loader/Größe und 多.conf': Buffer.from('x'),
}

function volume(shape: FatShape = {}): FatVolume {
  return FatVolume.open(diskOf(fatImage(files, shape)))
}

describe('FatVolume', () => {
  it.for(['FAT12', 'FAT16', 'FAT32'] as const)('lists and reads %s, in one piece and in many', (kind) => {
    for (const isScattered of [false, true]) {
      const fat = volume({ kind, isScattered })
      expect(fat.kind).toBe(kind)
      expect(fat.list('/')?.map(({ name, isDirectory }) => [name, isDirectory])).toEqual([
        ['EFI', true],
        ['loader', true],
      ])
      expect(fat.list('\\EFI\\Linux')?.map(({ name, size }) => [name, size])).toEqual([
        ['cloud-7.2.12+deb14-cloud-amd64.efi', 5_000],
        ['empty.efi', 0],
      ])
      for (const [path, content] of Object.entries(files)) {
        const found = fat.find(path)
        expect(found === undefined ? undefined : Buffer.from(fat.read(found)), path).toEqual(content)
      }
      const uki = fat.find('EFI/Linux/cloud-7.2.12+deb14-cloud-amd64.efi')
      expect(uki === undefined ? [] : fat.ranges(uki)).toHaveLength(isScattered ? Math.ceil(5_000 / 512) : 1)
    }
  })

  it('finds names in any case, by their short name too, with either separator', () => {
    const fat = volume()
    expect(fat.find('\\efi\\boot\\bootx64.efi')?.name).toBe('BOOTX64.EFI')
    expect(fat.find('LOADER//GRÖSSE UND 多.CONF')).toBeUndefined()
    expect(fat.find('LOADER/GRÖßE UND 多.CONF')?.size).toBe(1)
    const uki = fat.find('efi/linux/CLOUD-7.2.12+DEB14-CLOUD-AMD64.EFI')
    expect(fat.find(`efi/linux/${uki?.shortName.toLowerCase()}`)).toEqual(uki)
  })

  it('says undefined of what is not there', () => {
    const fat = volume()
    for (const path of ['', '/', 'EFI/none', 'none/BOOTX64.EFI', 'EFI/BOOT/BOOTX64.EFI/x']) {
      expect(fat.find(path), path).toBeUndefined()
    }
    expect(fat.list('EFI/BOOT/BOOTX64.EFI')).toBeUndefined()
    expect(fat.list('none')).toBeUndefined()
  })

  it('gives a view of a file in one piece, and reads no more than the way to it', () => {
    const image = fatImage(files, { kind: 'FAT32' })
    let bytesRead = 0
    const disk: DiskReader = {
      size: image.byteLength,
      read: (offset, length) => {
        bytesRead += length
        return image.subarray(offset, offset + length)
      },
    }
    const fat = FatVolume.open(disk)
    const found = fat.find('EFI/BOOT/BOOTX64.EFI')
    expect(found === undefined ? undefined : fat.read(found).buffer).toBe(image.buffer)
    expect(bytesRead).toBeLessThan(80_000)
    expect(image.byteLength).toBeGreaterThan(500_000)
  })

  it('leaves deleted entries and the volume label out', () => {
    const image = fatImage(files)
    const entry = image.indexOf(Buffer.from('LOADER     '))
    image[entry] = 0xe5
    expect(
      FatVolume.open(diskOf(image))
        .list('/')
        ?.map(({ name }) => name),
    ).toEqual(['EFI'])
  })

  it('falls back to the short name where the long one belongs to another entry', () => {
    const image = fatImage(files)
    const entry = image.indexOf(Buffer.from('CLOUD-~1EFI'))
    image[entry + 6] = 0x5f
    const names = FatVolume.open(diskOf(image))
      .list('EFI/Linux')
      ?.map(({ name }) => name)
    expect(names).toEqual(['CLOUD-_1.EFI', 'empty.efi'])
  })

  it('reports a circle of clusters, a chain that is too short and one that leads out of the volume', () => {
    const path = 'EFI/Linux/cloud-7.2.12+deb14-cloud-amd64.efi'
    const read = (change: (table: Buffer, first: number) => void) => (): unknown => {
      const image = fatImage(files, { kind: 'FAT16' })
      const first = FatVolume.open(diskOf(image)).find(path)?.firstCluster ?? 0
      change(image.subarray(512), first)
      const fat = FatVolume.open(diskOf(image))
      const found = fat.find(path)
      return found && fat.read(found)
    }
    expect(read((table, first) => table.writeUInt16LE(first, (first + 3) * 2))).toThrow('comes back to cluster')
    expect(read((table, first) => table.writeUInt16LE(0xffff, (first + 3) * 2))).toThrow(
      'the file needs 10 clusters, the chain has 4',
    )
    expect(read((table, first) => table.writeUInt16LE(0xfff0, (first + 3) * 2))).toThrow('leads to cluster 65520')
    expect(read((table, first) => table.writeUInt16LE(0, (first + 3) * 2))).toThrow('leads to cluster 0')
  })

  it('reports a directory that goes in a circle', () => {
    const image = fatImage(files, { kind: 'FAT32' })
    const root = 2
    image.writeUInt32LE(root, 32 * 512 + root * 4)
    expect(() => FatVolume.open(diskOf(image)).list('/')).toThrow('comes back to cluster 2')
  })

  it.for<[string, (image: Buffer) => void, string]>([
    ['no signature', (image) => image.fill(0, 510, 512), 'signature at offset 510'],
    ['sectors of 3 bytes', (image) => image.writeUInt16LE(3, 11), 'BytsPerSec at offset 11'],
    ['clusters of 3 sectors', (image) => image.writeUInt8(3, 13), 'SecPerClus at offset 13'],
    ['no table', (image) => image.writeUInt8(0, 16), 'NumFATs at offset 16'],
    ['4 G sectors', (image) => image.fill(0, 19, 21).writeUInt32LE(0xffffffff, 32), 'TotSec32 at offset 32'],
    ['a tiny table', (image) => image.writeUInt16LE(1, 22), 'FATSz16 at offset 22'],
    ['a table as large as the volume', (image) => image.writeUInt16LE(0xffff, 22), 'TotSec32 at offset 32'],
  ])('rejects %s', ([, change, message]) => {
    const image = fatImage(files, { kind: 'FAT16' })
    change(image)
    expect(() => FatVolume.open(diskOf(image))).toThrow(message)
  })

  it('survives truncation, damage and garbage', () => {
    const walk = (bytes: Uint8Array) => () => {
      const fat = FatVolume.open(diskOf(bytes))
      for (const path of ['/', 'EFI', 'EFI/Linux', 'loader']) {
        for (const entry of fat.list(path) ?? []) {
          if (!entry.isDirectory) fat.read(entry)
        }
      }
    }
    const image = fatImage(files, { kind: 'FAT12' })
    for (let length = 0; length < image.byteLength; length += 977) {
      expectResultOrMalformed(walk(image.subarray(0, length)))
    }
    // The first sectors hold all that can be wrong: damage spread over the volume would hardly hit it.
    const used = 24 * 512
    for (let seed = 1; seed <= 300; seed++) {
      const copy = Buffer.from(image)
      copy.set(damaged(image.subarray(0, used), seed))
      expectResultOrMalformed(walk(copy))
      expectResultOrMalformed(walk(garbage(seed, 512 + seed)))
    }
  })
})
