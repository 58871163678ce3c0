import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import type { DiskReader } from '../formats/index.ts'

/** A raw disk in a file. Leaving the scope closes it. */
export function openDisk(path: string): DiskReader & Disposable {
  const file = openSync(path, 'r')
  return {
    size: fstatSync(file).size,
    read(offset, length) {
      const bytes = Buffer.alloc(length)
      return bytes.subarray(0, readSync(file, bytes, 0, length, offset))
    },
    [Symbol.dispose]: () => closeSync(file),
  }
}
