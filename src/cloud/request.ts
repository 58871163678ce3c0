import type { IncomingMessage } from 'node:http'
import type { Server, Socket } from 'node:net'
import type { MetadataEndpoint, MetadataRequest, Peer } from './provider.ts'

/** Where a connection comes from and goes to. Sockets forget it when they are closed, so it is kept apart. */
export type Origin = Pick<MetadataRequest, 'endpoint' | 'peer' | 'local'>

/** Without a name, the local address tells the endpoint; it is the first when it is none of theirs, as on loopback. */
export function originOf(
  socket: Socket,
  endpoints: readonly [MetadataEndpoint, ...MetadataEndpoint[]],
  endpoint?: string,
): Origin {
  const local = { address: plain(socket.localAddress), port: socket.localPort ?? 0 }
  const match = endpoints.find(
    ({ ipv4, ipv6, port }) => port === local.port && (local.address === ipv4 || local.address === ipv6),
  )
  return {
    endpoint: endpoint ?? (match ?? endpoints[0]).name,
    peer: { address: plain(socket.remoteAddress), port: socket.remotePort ?? 0 },
    local,
  }
}

/**
 * The whole body; undefined when it is longer than allowed. An excess is read and forgotten, within the deadline of
 * the connection, because a client that is still sending does not see the answer. Rejects when the client goes away.
 */
export async function readBody(message: IncomingMessage, maxBytes: number): Promise<Uint8Array | undefined> {
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of message as AsyncIterable<Uint8Array>) {
    length += chunk.length
    if (length <= maxBytes) chunks.push(chunk)
    else chunks.length = 0
  }
  return length <= maxBytes ? Buffer.concat(chunks) : undefined
}

/** What came in, as plain data. */
export function toRequest(
  message: IncomingMessage,
  body: Uint8Array,
  origin: Origin,
  arrivedAtMs: number,
): MetadataRequest {
  const headers: [string, string][] = []
  for (let at = 0; at + 1 < message.rawHeaders.length; at += 2) {
    headers.push([message.rawHeaders[at] ?? '', message.rawHeaders[at + 1] ?? ''])
  }
  const [path = '', ...rest] = originForm(message.url ?? '').split('?')
  return {
    method: message.method ?? '',
    path,
    query: rest.join('?'),
    headers,
    body,
    ...origin,
    arrivedAtMs,
  }
}

/** Clients behind a proxy setting send the whole URL as target (RFC 9112, 3.2.2). */
function originForm(target: string): string {
  const absolute = /^https?:\/\/[^/?]*(.*)$/i.exec(target)?.[1]
  if (absolute === undefined) return target
  return absolute.startsWith('/') ? absolute : `/${absolute}`
}

/** Where a server listens. */
export function addressOf(server: Server): Peer {
  const address = server.address()
  return typeof address === 'object' && address !== null
    ? { address: plain(address.address), port: address.port }
    : { address: address ?? '', port: 0 }
}

/** Sockets of both families report IPv4 peers as mapped addresses; link-local ones name the interface as well. */
function plain(address: string | undefined): string {
  return (address ?? '').replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*$/, '')
}
