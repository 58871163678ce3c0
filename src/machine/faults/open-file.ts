import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import type { DiskReader } from '../../formats/index.ts'

/** Lends a file to a parser that reads it where it needs to. */
export async function withOpenFile<T>(path: string, parse: (reader: DiskReader) => T): Promise<T> {
  const file = openSync(path, 'r')
  try {
    return parse({
      size: fstatSync(file).size,
      read(offset, length) {
        const bytes = new Uint8Array(length)
        return bytes.subarray(0, readSync(file, bytes, 0, length, offset))
      },
    })
  } finally {
    closeSync(file)
  }
}
