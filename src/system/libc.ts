import type { Duplex } from 'node:stream'
import { getSystemErrorName } from 'node:util'
import { BootwrightError } from './error.ts'
import { foreignFunctions } from './library.ts'

/** Of `linux/include/uapi/asm-generic/socket.h`, which x86-64 and arm64 share. */
const [SOL_SOCKET, SO_PEERCRED, SO_ACCEPTCONN] = [1, 17, 30]

/** Of `linux/include/uapi/linux/fs.h`. */
const [SEEK_DATA, SEEK_HOLE] = [3, 4]

/** Of `linux/include/uapi/linux/time.h` and `if.h`. */
const [CLOCK_BOOTTIME, IF_NAMESIZE] = [7, 16]

/** Not before it is needed: it costs a start-up that few programs have to pay. */
export const libc = lazily(() => {
  const ffi = foreignFunctions()
  const { functions } = ffi.dlopen(null, {
    getsockopt: { arguments: ['i32', 'i32', 'i32', 'pointer', 'pointer'], return: 'i32' },
    setsockopt: { arguments: ['i32', 'i32', 'i32', 'pointer', 'u32'], return: 'i32' },
    socket: { arguments: ['i32', 'i32', 'i32'], return: 'i32' },
    bind: { arguments: ['i32', 'pointer', 'u32'], return: 'i32' },
    connect: { arguments: ['i32', 'pointer', 'u32'], return: 'i32' },
    close: { arguments: ['i32'], return: 'i32' },
    flock: { arguments: ['i32', 'i32'], return: 'i32' },
    ioctl: { arguments: ['i32', 'u64', 'pointer'], return: 'i32' },
    madvise: { arguments: ['u64', 'u64', 'i32'], return: 'i32' },
    syncfs: { arguments: ['i32'], return: 'i32' },
    fcntl: { arguments: ['i32', 'i32', 'pointer'], return: 'i32' },
    syscall: { arguments: ['i64', 'i64', 'pointer', 'pointer', 'u64'], return: 'i64' },
    lseek: { arguments: ['i32', 'i64', 'i32'], return: 'i64' },
    fsetxattr: { arguments: ['i32', 'pointer', 'pointer', 'u64', 'i32'], return: 'i32' },
    fgetxattr: { arguments: ['i32', 'pointer', 'pointer', 'u64'], return: 'i64' },
    if_nametoindex: { arguments: ['pointer'], return: 'u32' },
    if_indextoname: { arguments: ['u32', 'pointer'], return: 'pointer' },
    clock_gettime: { arguments: ['i32', 'pointer'], return: 'i32' },
    __errno_location: { arguments: [], return: 'pointer' },
  })
  return { ...functions, errno: () => ffi.getInt32(functions.__errno_location()) }
})

/** Whether connections are taken from this descriptor (SO_ACCEPTCONN): of a listening socket, not of a connection. */
export function isListeningSocket(fd: number): boolean {
  return socketOption(fd, SO_ACCEPTCONN, 4).readInt32LE(0) !== 0
}

/** Whether the kernel gives a socket of this kind to this process; it is closed at once. */
export function opensSocket(family: number, type: number, protocol: number): boolean {
  const fd = libc().socket(family, type, protocol)
  if (fd < 0) return false
  libc().close(fd)
  return true
}

/** The user at the other end of a connected UNIX socket (SO_PEERCRED, unix(7)): whoever connected, whatever he is now. */
export function peerUid(fd: number): number {
  // struct ucred: pid, uid, gid
  return socketOption(fd, SO_PEERCRED, 12).readUInt32LE(4)
}

/** The process at the other end of a connected UNIX socket, as the user above. */
export function peerPid(fd: number): number {
  return socketOption(fd, SO_PEERCRED, 12).readInt32LE(0)
}

/** The descriptor of a socket that Node has opened; -1 when it is closed, or no socket. */
export function descriptorOf(stream: Duplex): number {
  return (stream as unknown as { readonly _handle?: { readonly fd?: number } | null })._handle?.fd ?? -1
}

/**
 * Where an open file of `size` bytes has data, in order (SEEK_DATA and SEEK_HOLE, lseek(2)): what lies between reads as
 * zeros and takes no room. On a file system that does not know, all of it.
 */
export function* dataRanges(fd: number, size: number): Generator<{ readonly start: number; readonly end: number }> {
  let end = 0
  while (end < size) {
    const start = Number(libc().lseek(fd, BigInt(end), SEEK_DATA))
    if (start < 0) {
      if (getSystemErrorName(-libc().errno()) === 'ENXIO') return
      throw systemError(`Cannot find the data of file ${fd}`)
    }
    if (start >= size) return
    end = Math.min(Number(libc().lseek(fd, BigInt(start), SEEK_HOLE)), size)
    if (end <= start) throw systemError(`Cannot find the end of the data of file ${fd}`)
    yield { start, end }
  }
}

/** Microseconds since the system was started, those of its sleep included (CLOCK_BOOTTIME, clock_gettime(2)). */
export function bootTimeUSec(): number {
  const time = Buffer.alloc(16)
  if (libc().clock_gettime(CLOCK_BOOTTIME, time) !== 0) throw systemError('Cannot read the clock')
  return Number(time.readBigInt64LE(0)) * 1e6 + Math.floor(Number(time.readBigInt64LE(8)) / 1000)
}

/** The number of a network interface; undefined where there is none of this name. */
export function interfaceIndex(name: string): number | undefined {
  const index = libc().if_nametoindex(cString(name))
  return index === 0 ? undefined : index
}

/** The name of a network interface; undefined where there is none of this number. */
export function interfaceName(index: number): string | undefined {
  const name = Buffer.alloc(IF_NAMESIZE)
  if (!libc().if_indextoname(index, name)) return undefined
  return name.toString('latin1', 0, name.indexOf(0))
}

/** Sets an extended attribute of an open file (fsetxattr(2)). */
export function setAttribute(fd: number, name: string, value: Uint8Array): void {
  if (libc().fsetxattr(fd, cString(name), value, BigInt(value.length), 0) === 0) return
  throw systemError(`Cannot set the attribute ${name}`)
}

/** An extended attribute of an open file; undefined where it has none, or one that is longer than wanted (fgetxattr(2)). */
export function attribute(fd: number, name: string, maxBytes: number): Buffer | undefined {
  const value = Buffer.alloc(maxBytes)
  const length = Number(libc().fgetxattr(fd, cString(name), value, BigInt(maxBytes)))
  return length < 0 ? undefined : value.subarray(0, length)
}

function cString(text: string): Buffer {
  return Buffer.from(`${text}\0`)
}

function socketOption(fd: number, option: number, bytes: number): Buffer {
  const [value, length] = [Buffer.alloc(bytes), Buffer.alloc(4)]
  length.writeUInt32LE(bytes)
  if (libc().getsockopt(fd, SOL_SOCKET, option, value, length) === 0) return value
  throw systemError(`Cannot read option ${option} of socket ${fd}`)
}

/** Why the last call has failed, with the code of errno(3) in its cause. */
export function systemError(
  what: string,
): BootwrightError & { readonly cause: { readonly code: string; readonly errno: number } } {
  const errno = libc().errno()
  const code = getSystemErrorName(-errno)
  const cause = Object.assign(new Error(code), { code, errno: -errno })
  return Object.assign(new BootwrightError('HOST_UNSUITABLE', `${what}: ${code}`, { cause }), { cause })
}

function lazily<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined
  return () => {
    made ??= { value: make() }
    return made.value
  }
}
