import type { Duplex } from 'node:stream'
import { getSystemErrorName } from 'node:util'
import { BootwrightError } from './error.ts'

/** Of `linux/include/uapi/asm-generic/socket.h`, which x86-64 and arm64 share. */
const [SOL_SOCKET, SO_PEERCRED, SO_ACCEPTCONN] = [1, 17, 30]

/** Of `linux/include/uapi/linux/fs.h`. */
const [SEEK_DATA, SEEK_HOLE] = [3, 4]

const libc = lazily(() => {
  const ffi = withoutWarning(() => process.getBuiltinModule('node:ffi'))
  const { functions } = ffi.dlopen(null, {
    getsockopt: { arguments: ['i32', 'i32', 'i32', 'pointer', 'pointer'], return: 'i32' },
    lseek: { arguments: ['i32', 'i64', 'i32'], return: 'i64' },
    __errno_location: { arguments: [], return: 'pointer' },
  })
  return { ...functions, errno: () => ffi.getInt32(functions.__errno_location()) }
})

/** Whether connections are taken from this descriptor (SO_ACCEPTCONN): of a listening socket, not of a connection. */
export function isListeningSocket(fd: number): boolean {
  return socketOption(fd, SO_ACCEPTCONN, 4).readInt32LE(0) !== 0
}

/** The user at the other end of a connected UNIX socket (SO_PEERCRED, unix(7)): whoever connected, whatever he is now. */
export function peerUid(fd: number): number {
  // struct ucred: pid, uid, gid
  return socketOption(fd, SO_PEERCRED, 12).readUInt32LE(4)
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

function socketOption(fd: number, option: number, bytes: number): Buffer {
  const [value, length] = [Buffer.alloc(bytes), Buffer.alloc(4)]
  length.writeUInt32LE(bytes)
  if (libc().getsockopt(fd, SOL_SOCKET, option, value, length) === 0) return value
  throw systemError(`Cannot read option ${option} of socket ${fd}`)
}

function systemError(what: string): BootwrightError {
  const errno = libc().errno()
  const code = getSystemErrorName(-errno)
  return new BootwrightError('HOST_UNSUITABLE', `${what}: ${code}`, {
    cause: Object.assign(new Error(code), { code, errno: -errno }),
  })
}

/** Node says of this module that it is young: for us to judge, not for our user to read. */
function withoutWarning<T>(load: () => T): T {
  const { emitWarning } = process
  process.emitWarning = () => undefined
  try {
    return load()
  } finally {
    process.emitWarning = emitWarning
  }
}

function lazily<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined
  return () => {
    made ??= { value: make() }
    return made.value
  }
}
