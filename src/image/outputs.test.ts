import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, open, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { smallUki } from './definition.test-support.ts'
import { gptDisk } from './gpt-disk.test-support.ts'
import { checkDisk, checkUki, collectOutputs, hashFile } from './outputs.ts'

let directory: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bootwright-test-'))
})

afterEach(async () => {
  await rm(directory, { recursive: true, force: true })
})

const put = (file: string, bytes: string | Buffer): Promise<void> => writeFile(join(directory, file), bytes)

describe('collectOutputs()', () => {
  it('tells what each file is, and removes links and directories', async () => {
    await put('cloud_1.raw', gptDisk(64))
    await put('cloud_1.efi', smallUki())
    await put('cloud_1.vmlinuz', 'kernel')
    await put('cloud_1.root-x86-64.raw', 'partition')
    await put('cloud_1.manifest', '{}')
    await put('initrd.cpio.zst', 'initrd')
    await symlink('cloud_1.raw', join(directory, 'cloud'))
    await mkdir(join(directory, '.mkosi-private'))
    const { artifacts, kernelVersion } = await collectOutputs(directory, 'cloud_1')
    expect(kernelVersion).toBe('7.0.0-small')
    expect(artifacts.map(({ file, role }) => [file, role])).toEqual([
      ['cloud_1.efi', 'uki'],
      ['cloud_1.manifest', 'manifest'],
      ['cloud_1.raw', 'disk'],
      ['cloud_1.root-x86-64.raw', 'other'],
      ['cloud_1.vmlinuz', 'kernel'],
      ['initrd.cpio.zst', 'other'],
    ])
    expect(artifacts[4]).toMatchObject({ size: 6, sha256: createHash('sha256').update('kernel').digest('hex') })
    expect(await readdir(directory)).toHaveLength(6)
  })

  it('misses a disk and a UKI, each with a hint', async () => {
    await put('cloud_1.efi', smallUki())
    await expect(collectOutputs(directory, 'cloud_1')).rejects.toMatchObject({
      code: 'IMAGE_INCOMPLETE',
      message: 'mkosi made no disk cloud_1.raw',
      hint: expect.stringContaining('Format=disk'),
    })
    await put('cloud_1.raw', gptDisk(64))
    await rm(join(directory, 'cloud_1.efi'))
    await expect(collectOutputs(directory, 'cloud_1')).rejects.toMatchObject({
      code: 'IMAGE_INCOMPLETE',
      message: 'mkosi made no unified kernel image cloud_1.efi',
      hint: expect.stringContaining('UnifiedKernelImages='),
    })
  })
})

describe('checkDisk()', () => {
  const disk = gptDisk(64)
  const backup = disk.byteLength - 512
  const damagedAt = (offset: number): Buffer => {
    const bytes = Buffer.from(disk)
    bytes.writeUInt8(bytes.readUInt8(offset) ^ 1, offset)
    return bytes
  }

  it.for<[string, Buffer, RegExp]>([
    ['the last byte is missing', disk.subarray(0, -1), /has \d+ bytes, but its partition table says \d+/],
    ['the backup is missing', disk.subarray(0, backup), /has \d+ bytes, but its partition table says \d+/],
    ['the partition is cut', disk.subarray(0, 40 * 512), /has no partition table that can be read/],
    ['it is empty', Buffer.alloc(0), /has no partition table that can be read/],
    ['it is all zeros', Buffer.alloc(disk.byteLength), /has no partition table that can be read/],
    ['the backup is damaged', damagedAt(backup + 60), /The backup partition table .* is damaged/],
    ['the primary is damaged', damagedAt(512 + 60), /The primary partition table .* is damaged/],
  ])('rejects a disk when %s', async ([, bytes, message]) => {
    await put('disk', bytes)
    expect(() => checkDisk(join(directory, 'disk'))).toThrow(
      expect.objectContaining({
        code: 'IMAGE_INCOMPLETE',
        message: expect.stringMatching(message),
        hint: expect.stringContaining('build it again'),
      }),
    )
  })

  it('takes a whole one, and one with room behind the table', async () => {
    await put('disk', disk)
    expect(checkDisk(join(directory, 'disk')).partitions).toHaveLength(1)
    await put('disk', Buffer.concat([disk, Buffer.alloc(512)]))
    expect(checkDisk(join(directory, 'disk')).partitions).toHaveLength(1)
  })
})

describe('checkUki()', () => {
  it.for<[string, Buffer, string]>([
    ['cut short', smallUki().subarray(0, 0x300), 'is no unified kernel image'],
    ['empty', Buffer.alloc(0), 'is no unified kernel image'],
    ['no .linux section', smallUki('.text'), 'it has no .linux section'],
  ])('rejects a UKI: %s', async ([, bytes, message]) => {
    await put('uki', bytes)
    await expect(checkUki(join(directory, 'uki'))).rejects.toMatchObject({
      code: 'IMAGE_INCOMPLETE',
      message: expect.stringContaining(message),
    })
  })
})

describe('hashFile()', () => {
  it('hashes files of more than one piece, and stops when it is told to', async () => {
    const bytes = Buffer.alloc(9_000_001, 'pieces of different content')
    await put('large', bytes)
    const sha256 = createHash('sha256').update(bytes).digest('hex')
    expect(await hashFile(join(directory, 'large'))).toEqual({ size: bytes.byteLength, sha256 })
    await expect(hashFile(join(directory, 'large'), AbortSignal.abort(new Error('enough')))).rejects.toThrow('enough')
  })

  it('hashes a sparse file as anybody else does', async () => {
    await put('sparse', Buffer.alloc(0))
    await using file = await open(join(directory, 'sparse'), 'r+')
    await file.write(Buffer.alloc(5_000_000, 'a piece'), 0, 5_000_000, 3_000_000)
    await file.truncate(20_000_001)
    const sha256 = createHash('sha256')
      .update(await readFile(join(directory, 'sparse')))
      .digest('hex')
    expect(await hashFile(join(directory, 'sparse'))).toEqual({ size: 20_000_001, sha256 })
  })
})
