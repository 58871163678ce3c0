import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { sizeOf } from './libc-files.ts'

/** A file that is read where it is needed; what parsers take as a disk. */
export interface DiskFile {
  readonly size: number
  /** As many of these bytes as there are. */
  read(offset: number, length: number): Buffer
}

/** A raw disk: a file, or a block device. Leaving the scope closes it. */
export function openDisk(path: string): DiskFile & Disposable {
  const descriptor = openSync(path, 'r')
  try {
    return Object.assign(diskFile(descriptor), { [Symbol.dispose]: () => closeSync(descriptor) })
  } catch (error) {
    closeSync(descriptor)
    throw error
  }
}

/** The same of a descriptor, which stays its owner's to close. */
export function diskFile(descriptor: number): DiskFile {
  const facts = fstatSync(descriptor)
  return {
    size: facts.isBlockDevice() ? sizeOf(descriptor) : facts.size,
    read(offset, length) {
      const bytes = Buffer.alloc(length)
      return bytes.subarray(0, readSync(descriptor, bytes, 0, length, offset))
    },
  }
}
