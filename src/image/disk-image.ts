import { open } from 'node:fs/promises'
import { basename, resolve } from 'node:path'
import { BootwrightError } from '../system/index.ts'
import { checkDisk, hashFile } from './outputs.ts'

/** A disk that somebody else has made: all that is known of it is what it holds. */
export interface DiskImage {
  /** Of the file. */
  readonly name: string
  /** Nobody has given it one. */
  readonly version: 'file'
  /** SHA-256 of all its bytes. */
  readonly identity: string
  readonly diskPath: string
}

/** What other formats of disks begin with. */
const FORMATS: readonly (readonly [name: string, magic: string])[] = [
  ['qcow2', 'QFI\xfb'],
  ['VMDK', 'KDMV'],
  ['VHDX', 'vhdxfile'],
  ['VHD', 'conectix'],
  ['gzip', '\x1f\x8b'],
  ['xz', '\xfd7zXZ'],
  ['zstd', '\x28\xb5\x2f\xfd'],
]

/** Whether a word means a file, and not the name of an image: it has a slash, as `./disk.raw`. */
export function isDiskPath(word: string): boolean {
  return word.includes('/')
}

/**
 * Reads a raw disk with a GPT. Rejects with `INVALID_ARGUMENT` where there is no file, or one of another format, and with
 * `IMAGE_INCOMPLETE` where its partition tables are not whole.
 */
export async function openDiskImage(path: string, signal?: AbortSignal): Promise<DiskImage> {
  const diskPath = resolve(path)
  const format = await otherFormat(diskPath)
  if (format !== undefined) {
    throw new BootwrightError('INVALID_ARGUMENT', `Expected a raw disk, ${path} is ${format}`, {
      hint: 'Unpack or convert it: qemu-img convert -O raw FILE disk.raw',
    })
  }
  checkTables(diskPath)
  const { sha256 } = await hashFile(diskPath, signal)
  return { name: basename(diskPath), version: 'file', identity: sha256, diskPath }
}

function checkTables(diskPath: string): void {
  try {
    checkDisk(diskPath)
  } catch (cause) {
    if (!(cause instanceof BootwrightError)) throw cause
    throw new BootwrightError(cause.code, cause.message, { hint: 'It has to be a whole raw disk with a GPT.', cause })
  }
}

async function otherFormat(path: string): Promise<string | undefined> {
  const file = await open(path).catch((cause: NodeJS.ErrnoException) => {
    throw new BootwrightError('INVALID_ARGUMENT', `Cannot open the disk ${path}: ${cause.code}`, {
      hint: 'Give the path of a raw disk, with a slash in it: ./disk.raw',
      cause,
    })
  })
  await using _open = file
  if (!(await file.stat()).isFile()) {
    throw new BootwrightError('INVALID_ARGUMENT', `Expected a file, ${path} is none`, {
      hint: 'Give the path of a raw disk, with a slash in it: ./disk.raw',
    })
  }
  const { buffer } = await file.read(Buffer.alloc(16), 0, 16, 0)
  const head = buffer.toString('latin1')
  return FORMATS.find(([, magic]) => head.startsWith(magic))?.[0]
}
