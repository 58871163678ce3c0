import { describe, expect, it } from 'vitest'
import { diskOf, fileSystemIdentity } from './index.ts'

const UUID = Buffer.from('53eae39791174261bea7121c7f586d4e', 'hex')

function ext(features: { compat?: number; incompat?: number; readOnly?: number }): Buffer {
  const disk = Buffer.alloc(8192)
  disk.writeUInt16LE(0xef53, 1024 + 0x38)
  disk.writeUInt32LE(features.compat ?? 0, 1024 + 0x5c)
  disk.writeUInt32LE(features.incompat ?? 0, 1024 + 0x60)
  disk.writeUInt32LE(features.readOnly ?? 0, 1024 + 0x64)
  disk.set(UUID, 1024 + 0x68)
  disk.write('root-x86-64', 1024 + 0x78)
  return disk
}

describe('fileSystemIdentity()', () => {
  it.for<[string, Parameters<typeof ext>[0]]>([
    ['ext2', { incompat: 0x2, readOnly: 0x3 }],
    ['ext3', { compat: 0x4, incompat: 0x6, readOnly: 0x3 }],
    ['ext4', { compat: 0x4, incompat: 0x42 }],
    ['ext4', { compat: 0x4, incompat: 0x2, readOnly: 0x400 }],
  ])('tells %s by its features', ([type, features]) => {
    expect(fileSystemIdentity(diskOf(ext(features)))).toEqual({
      type,
      uuid: '53eae397-9117-4261-bea7-121c7f586d4e',
      label: 'root-x86-64',
    })
  })

  it('reads a label that fills its field', () => {
    const disk = ext({})
    disk.write('0123456789abcdefX', 1024 + 0x78)
    expect(fileSystemIdentity(diskOf(disk))?.label).toBe('0123456789abcdef')
  })

  it('reads EROFS and LUKS', () => {
    const erofs = Buffer.alloc(4096)
    erofs.writeUInt32LE(0xe0f5e1e2, 1024)
    erofs.set(UUID, 1024 + 48)
    erofs.write('usr', 1024 + 64)
    expect(fileSystemIdentity(diskOf(erofs))).toEqual({
      type: 'erofs',
      uuid: '53eae397-9117-4261-bea7-121c7f586d4e',
      label: 'usr',
    })
    const luks = Buffer.alloc(4096)
    luks.write('LUKS\xba\xbe', 0, 'latin1')
    luks.write('53eae397-9117-4261-bea7-121c7f586d4e', 168)
    expect(fileSystemIdentity(diskOf(luks))).toMatchObject({
      type: 'crypto_LUKS',
      uuid: expect.stringMatching(/^53eae397/),
    })
  })

  it('knows nothing of other content', () => {
    expect(fileSystemIdentity(diskOf(Buffer.alloc(8192)))).toBeUndefined()
    expect(fileSystemIdentity(diskOf(Buffer.alloc(10)))).toBeUndefined()
  })
})
