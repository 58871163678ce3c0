import { createHash } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { isDiskPath, openDiskImage } from './disk-image.ts'
import { gptDisk } from './gpt-disk.test-support.ts'

let directory: string
let path: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bootwright-test-'))
  path = join(directory, 'disk.raw')
})
afterEach(() => rm(directory, { recursive: true, force: true }))

describe('openDiskImage()', () => {
  it('knows a raw disk by its name and its bytes', async () => {
    const disk = gptDisk(64)
    await writeFile(path, disk)
    const identity = createHash('sha256').update(disk).digest('hex')
    expect(await openDiskImage(path)).toEqual({ name: 'disk.raw', version: 'file', identity, diskPath: path })
  })

  it.for([
    ['qcow2', Buffer.from('QFI\xfb\0\0\0\x03', 'latin1')],
    ['xz', Buffer.from('\xfd7zXZ\0', 'latin1')],
    ['zstd', Buffer.from('\x28\xb5\x2f\xfd', 'latin1')],
  ] as const)('says that a disk is %s, and what to do', async ([format, bytes]) => {
    await writeFile(path, bytes)
    await expect(openDiskImage(path)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: `Expected a raw disk, ${path} is ${format}`,
      hint: expect.stringContaining('qemu-img convert'),
    })
  })

  it('refuses what is not there, what is no file, and what is no disk', async () => {
    await expect(openDiskImage(path)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    await expect(openDiskImage(directory)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    await writeFile(path, Buffer.alloc(1024 * 1024))
    await expect(openDiskImage(path)).rejects.toMatchObject({ code: 'IMAGE_INCOMPLETE' })
    await writeFile(path, gptDisk(64).subarray(0, 32 * 1024))
    await expect(openDiskImage(path)).rejects.toMatchObject({ code: 'IMAGE_INCOMPLETE' })
  })
})

describe('isDiskPath()', () => {
  it.for([
    ['./disk.raw', true],
    ['/srv/disk.raw', true],
    ['cloud', false],
    ['disk.raw', false],
  ] as const)('of %s is %s', ([word, expected]) => {
    expect(isDiskPath(word)).toBe(expected)
  })
})
