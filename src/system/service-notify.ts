import { closeSync, writeSync } from 'node:fs'
import { libc, systemError } from './libc.ts'

/** Of `linux/include/linux/socket.h` and `net.h`. */
const [AF_UNIX, SOCK_DGRAM, SOCK_CLOEXEC] = [1, 2, 0o2000000]
/** Of `struct sockaddr_un`: the family, then the path. */
const MAX_PATH = 108

/**
 * Tells whoever has started this service how it is (sd_notify(3)); nothing where nobody wants to know. Rejects with
 * `HOST_UNSUITABLE` when the socket is not there.
 *
 * @param socket `NOTIFY_SOCKET`: a path, or a name of the abstract namespace behind `@`
 */
export function notifyService(socket: string | undefined, lines: readonly string[]): void {
  if (socket === undefined || !/^[/@]./.test(socket) || Buffer.byteLength(socket) >= MAX_PATH) return
  const name = Buffer.from(socket.replace(/^@/, '\0'))
  const address = Buffer.concat([Buffer.from([AF_UNIX, 0]), name])
  const fd = libc().socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)
  if (fd < 0) throw systemError('Cannot make a socket')
  try {
    if (libc().connect(fd, address, address.byteLength) !== 0) throw systemError(`Cannot connect to ${socket}`)
    writeSync(fd, lines.join('\n'))
  } finally {
    closeSync(fd)
  }
}
