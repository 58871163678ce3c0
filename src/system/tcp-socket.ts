import { Socket } from 'node:net'
import { libc, systemError } from './libc.ts'

/** What has to be set on a socket before it connects, which Node has no words for. */
export interface TcpSocketOptions {
  /** SO_MARK: what routing and firewall know the packets by. */
  readonly mark?: number | undefined
  /** IP_UNICAST_IF and IPV6_UNICAST_IF: a number of an interface, which they take for what is not connected. */
  readonly interfaceIndex?: number | undefined
  /** Binds to the first free port below 1024, which only who is privileged may; any other where that is not allowed. */
  readonly isPortLow?: boolean
}

export interface TcpAddress {
  readonly address: string
  readonly port: number
  /** Number of the interface of a link-local address. */
  readonly scopeId?: number
}

const [AF_INET, AF_INET6] = [2, 10]
const [SOCK_STREAM, SOCK_NONBLOCK, SOCK_CLOEXEC] = [1, 0o4000, 0o2000000]
const [SOL_SOCKET, IPPROTO_IP, IPPROTO_IPV6] = [1, 0, 41]
const [SO_MARK, IP_UNICAST_IF, IPV6_UNICAST_IF] = [36, 50, 76]
/** Of `linux/include/uapi/asm-generic/errno.h`; Node has no name for it. */
const EINPROGRESS = 115
const LAST_LOW_PORT = 1023

/**
 * Begins to connect. The socket is writable from the start; that nobody answers, or that no way leads there, is an error of its
 * own. Throws `HOST_UNSUITABLE` when the kernel refuses an option.
 */
export function connectTcp(to: TcpAddress, options: TcpSocketOptions = {}): Socket {
  const family = isVersion6(to.address) ? AF_INET6 : AF_INET
  const fd = libc().socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)
  if (fd < 0) throw systemError('Cannot make a socket')
  try {
    if (options.mark !== undefined) set(fd, SOL_SOCKET, SO_MARK, u32(options.mark))
    if (options.interfaceIndex !== undefined) {
      const [level, option] = family === AF_INET6 ? [IPPROTO_IPV6, IPV6_UNICAST_IF] : [IPPROTO_IP, IP_UNICAST_IF]
      set(fd, level, option, u32(options.interfaceIndex, 'network order'))
    }
    if (options.isPortLow === true) bindLow(fd, family)
    const address = socketAddress(family, to)
    const refusal =
      libc().connect(fd, address, address.length) === 0 ? undefined : systemError(`Cannot connect to ${to.address}`)
    const socket = new Socket({ fd, readable: true, writable: true })
    if (refusal !== undefined && refusal.cause.errno !== -EINPROGRESS) socket.destroy(refusal)
    return socket
  } catch (error) {
    libc().close(fd)
    throw error
  }
}

/** TIME_WAIT keeps a port for a minute: there are some thousand requests in that time. */
function bindLow(fd: number, family: number): void {
  for (let port = 1; port <= LAST_LOW_PORT; port++) {
    const address = socketAddress(family, { address: family === AF_INET6 ? '::' : '0.0.0.0', port })
    if (libc().bind(fd, address, address.length) === 0) return
    const error = systemError(`Cannot take port ${port}`)
    if (error.cause.code === 'EACCES' || error.cause.code === 'EPERM') return
    if (error.cause.code !== 'EADDRINUSE' || port === LAST_LOW_PORT) throw error
  }
}

function set(fd: number, level: number, option: number, value: Buffer): void {
  if (libc().setsockopt(fd, level, option, value, value.length) === 0) return
  throw systemError(`Cannot set option ${option} of a socket`)
}

/** struct sockaddr_in or sockaddr_in6 of the kernel. */
function socketAddress(family: number, { address, port, scopeId }: TcpAddress): Buffer {
  const bytes = Buffer.alloc(family === AF_INET6 ? 28 : 16)
  bytes.writeUInt16LE(family, 0)
  bytes.writeUInt16BE(port, 2)
  bytes.set(addressBytes(address), family === AF_INET6 ? 8 : 4)
  if (family === AF_INET6) bytes.writeUInt32LE(scopeId ?? 0, 24)
  return bytes
}

/** The four or sixteen bytes of an address in text. */
export function addressBytes(address: string): Uint8Array {
  if (!isVersion6(address)) return Uint8Array.from(address.split('.').map(Number))
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address)
  const hex = dotted === null ? address : `${dotted[1]}${pair(dotted[2], dotted[3])}:${pair(dotted[4], dotted[5])}`
  const [front = '', back] = hex.split('::')
  const groups = (text: string): number[] =>
    text.split(':').flatMap((group) => (group === '' ? [] : [Number.parseInt(group, 16)]))
  const [left, right] = [groups(front), groups(back ?? '')]
  const all = [...left, ...Array<number>(8 - left.length - right.length).fill(0), ...right]
  return Uint8Array.from(all.flatMap((group) => [group >> 8, group & 0xff]))
}

/** Of what is known to be an address. Node's own test compiles its expression at the first call, for several milliseconds. */
function isVersion6(address: string): boolean {
  return address.includes(':')
}

function pair(high: string | undefined, low: string | undefined): string {
  return ((Number(high) << 8) | Number(low)).toString(16)
}

function u32(value: number, order?: 'network order'): Buffer {
  const bytes = Buffer.alloc(4)
  if (order === undefined) bytes.writeUInt32LE(value)
  else bytes.writeUInt32BE(value)
  return bytes
}
