import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { diskFile, openDisk } from './disk-file.ts'

const directory = mkdtempSync(join(tmpdir(), 'bootwright-disk-file-'))
afterAll(() => rmSync(directory, { recursive: true }))
const path = join(directory, 'disk')
writeFileSync(path, '0123456789')

describe('a disk file', () => {
  it('is read where it is asked, and no further than it goes', () => {
    using disk = openDisk(path)
    expect(disk.size).toBe(10)
    expect(disk.read(2, 3).toString()).toBe('234')
    expect(disk.read(8, 5).toString()).toBe('89')
  })

  it('is closed at the end of its scope', () => {
    let late: () => Buffer
    {
      using disk = openDisk(path)
      late = () => disk.read(0, 1)
    }
    expect(late).toThrow(/EBADF/)
  })

  it('leaves a descriptor open that is somebody else’s', () => {
    const descriptor = openSync(path, 'r')
    expect(diskFile(descriptor).read(0, 1).toString()).toBe('0')
    expect(readSync(descriptor, Buffer.alloc(1))).toBe(1)
    closeSync(descriptor)
  })

  it('that is not there is the system’s error', () => {
    expect(() => openDisk(join(directory, 'none'))).toThrow(/ENOENT/)
  })
})
