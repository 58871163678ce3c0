import { closeSync, lstatSync, openSync, statfsSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { libc, systemError } from './libc.ts'

/** Of `linux/include/uapi/linux/magic.h` and `btrfs_tree.h`: the root of a subvolume has always this number. */
const [BTRFS_SUPER_MAGIC, FIRST_FREE_OBJECTID] = [0x9123683e, 256n]
/** Of `linux/include/uapi/linux/btrfs.h`. */
const [SUBVOL_CREATE, SNAP_DESTROY, SNAP_CREATE_V2] = [0x5000_940en, 0x5000_940fn, 0x5000_9417n]
const [SUBVOL_GETFLAGS, SUBVOL_SETFLAGS, SUBVOL_RDONLY] = [0x8008_9419n, 0x4008_941an, 2n]
/** Where the name begins in the arguments of the second version, and in those of the first. */
const [ARGUMENT_BYTES, NAME_AT, NAME_AT_V2] = [4096, 8, 56]

/** Whether a directory is on btrfs, where subvolumes can be. */
export function isOnBtrfs(directory: string): boolean {
  return statfsSync(directory).type === BTRFS_SUPER_MAGIC
}

/** Whether a path is a subvolume of btrfs, which no other directory is. */
export function isSubvolume(path: string): boolean {
  const facts = lstatSync(path, { throwIfNoEntry: false, bigint: true })
  return facts?.isDirectory() === true && facts.ino === FIRST_FREE_OBJECTID && isOnBtrfs(path)
}

/** Makes an empty subvolume. Rejects with `HOST_UNSUITABLE`: `ENOTTY` where there can be none. */
export function makeSubvolume(path: string): void {
  control(dirname(path), SUBVOL_CREATE, named(path, NAME_AT), `Cannot make the subvolume ${path}`)
}

/** Makes a writable subvolume with what another one of the same file system holds; those below it are empty directories in it. */
export function snapshotSubvolume(from: string, path: string): void {
  const source = openSync(from, 'r')
  try {
    const argument = named(path, NAME_AT_V2)
    argument.writeBigInt64LE(BigInt(source), 0)
    control(dirname(path), SNAP_CREATE_V2, argument, `Cannot make a snapshot of ${from}`)
  } finally {
    closeSync(source)
  }
}

/** Lets nobody change what a subvolume holds, or ends that. */
export function setSubvolumeReadOnly(path: string, isReadOnly: boolean): void {
  const flags = Buffer.alloc(8)
  control(path, SUBVOL_GETFLAGS, flags, `Cannot read the flags of ${path}`)
  const before = flags.readBigUInt64LE(0)
  const after = isReadOnly ? before | SUBVOL_RDONLY : before & ~SUBVOL_RDONLY
  if (after === before) return
  flags.writeBigUInt64LE(after, 0)
  control(path, SUBVOL_SETFLAGS, flags, `Cannot set the flags of ${path}`)
}

/** Deletes a subvolume at once, whatever it holds but other subvolumes (`ENOTEMPTY`). */
export function deleteSubvolume(path: string): void {
  control(dirname(path), SNAP_DESTROY, named(path, NAME_AT), `Cannot delete the subvolume ${path}`)
}

function named(path: string, at: number): Buffer {
  const argument = Buffer.alloc(ARGUMENT_BYTES)
  argument.write(basename(path), at)
  return argument
}

function control(path: string, request: bigint, argument: Buffer, what: string): void {
  const fd = openSync(path, 'r')
  try {
    if (libc().ioctl(fd, request, argument) !== 0) throw systemError(what)
  } finally {
    closeSync(fd)
  }
}
