import { closeSync, openSync } from 'node:fs'
import { getSystemErrorName } from 'node:util'
import { libc, systemError } from './libc.ts'

/** Of `linux/include/uapi/asm-generic/fcntl.h`; the number of openat2(2) is the same everywhere. */
const [LOCK_EX, LOCK_NB, SYS_OPENAT2, SEEK_END] = [2, 4, 437n, 2]

/** Of `linux/include/uapi/asm-generic/fcntl.h`. */
const [F_WRLCK, F_OFD_SETLK] = [1, 37]

const O_CLOEXEC = 0o2000000n

/** Of `linux/include/uapi/linux/openat2.h`. */
const RESOLVE = { noMagicLinks: 0x02n, noSymlinks: 0x04n, beneath: 0x08n, inRoot: 0x10n }

/**
 * Opens a path below an open directory (openat2(2)), as a descriptor that the caller closes.
 *
 * `inside` takes links as they are meant in a tree whose root the directory is; `strict` takes none, and no `..` that
 * leads out. Undefined when there is no such file; rejects with `HOST_UNSUITABLE`: `ELOOP` is a link, `EXDEV` the way out.
 */
export function openBelow(
  directoryFd: number,
  path: string,
  options: { readonly flags: number; readonly links: 'inside' | 'strict' },
): number | undefined {
  const how = Buffer.alloc(24)
  how.writeBigUInt64LE(BigInt(options.flags) | O_CLOEXEC, 0)
  const walk = options.links === 'inside' ? RESOLVE.inRoot : RESOLVE.beneath | RESOLVE.noSymlinks
  how.writeBigUInt64LE(walk | RESOLVE.noMagicLinks, 16)
  const fd = Number(
    libc().syscall(SYS_OPENAT2, BigInt(directoryFd), Buffer.from(`${path}\0`), how, BigInt(how.byteLength)),
  )
  if (fd >= 0) return fd
  if (getSystemErrorName(-libc().errno()) === 'ENOENT') return undefined
  throw systemError(`Cannot open ${path}`)
}

/** Takes the exclusive lock of an open file (flock(2)) until that is closed; false when somebody else has it. */
export function tryLock(fd: number): boolean {
  if (libc().flock(fd, LOCK_EX | LOCK_NB) === 0) return true
  if (getSystemErrorName(-libc().errno()) === 'EAGAIN') return false
  throw systemError(`Cannot lock file ${fd}`)
}

/**
 * Takes the exclusive lock of the bytes of a file that is open for writing (F_OFD_SETLK, fcntl(2)) until that is closed; false
 * when somebody else has it. It is another lock than that of {@link tryLock}, which udev respects, and waits for, on disks.
 */
export function tryContentLock(fd: number): boolean {
  // struct flock: type, whence, start, length (0: to the end), process
  const range = Buffer.alloc(32)
  range.writeInt16LE(F_WRLCK, 0)
  if (libc().fcntl(fd, F_OFD_SETLK, range) === 0) return true
  if (['EAGAIN', 'EACCES'].includes(getSystemErrorName(-libc().errno()))) return false
  throw systemError(`Cannot lock the content of file ${fd}`)
}

/** Of `linux/include/uapi/linux/fs.h`: flags are read and written as 4 bytes, whatever the numbers say. */
const [FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, FS_IMMUTABLE_FL] = [0x8008_6601n, 0x4008_6602n, 0x10]

/**
 * Makes a file or directory one that nobody can change, or ends that (chattr(1), `i`). Rejects with `HOST_UNSUITABLE` where the
 * file system has no such flag (`ENOTTY`, `EOPNOTSUPP`) or this user may not (`EPERM`).
 */
export function setImmutable(path: string, isImmutable: boolean): void {
  const fd = openSync(path, 'r')
  try {
    const flags = Buffer.alloc(8)
    if (libc().ioctl(fd, FS_IOC_GETFLAGS, flags) !== 0) throw systemError(`Cannot read the flags of ${path}`)
    const before = flags.readUInt32LE(0)
    const after = isImmutable ? before | FS_IMMUTABLE_FL : before & ~FS_IMMUTABLE_FL
    if (after === before) return
    flags.writeUInt32LE(after >>> 0, 0)
    if (libc().ioctl(fd, FS_IOC_SETFLAGS, flags) !== 0) throw systemError(`Cannot set the flags of ${path}`)
  } finally {
    closeSync(fd)
  }
}

/** Writes all that is not on the disk yet of the file system that a path is on (syncfs(2)). */
export function syncFileSystem(path: string): void {
  const fd = openSync(path, 'r')
  try {
    if (libc().syncfs(fd) !== 0) throw systemError(`Cannot write the file system of ${path} to the disk`)
  } finally {
    closeSync(fd)
  }
}

/** Bytes of an open file or block device. */
export function sizeOf(fd: number): number {
  const size = Number(libc().lseek(fd, 0n, SEEK_END))
  if (size < 0) throw systemError(`Cannot find the size of file ${fd}`)
  return size
}
