import type { Packet } from './packet-stream.ts'

/** Addresses and payload of a UDP datagram, with what an answer needs. */
export interface UdpDatagram {
  readonly sourcePort: number
  readonly destinationPort: number
  readonly payload: Uint8Array
  /** The same datagram the other way, with another payload and all checksums right. */
  reply(payload: Uint8Array): Packet
}

const ETHERNET_BYTES = 14
const IPV4 = 0x0800
const IPV6 = 0x86dd
const TCP = 6
const UDP = 17
const UDP_BYTES = 8
/** `struct virtio_net_hdr`: flags, gso_type, hdr_len, gso_size, csum_start, csum_offset. */
const NEEDS_CHECKSUM = 1

interface Addresses {
  readonly protocol: number
  /** Where the transport header begins in the frame. */
  readonly transportAt: number
  readonly end: number
  readonly source: Uint8Array
  readonly destination: Uint8Array
}

/** The transport protocol and ports of a frame, if it is an unfragmented TCP or UDP packet over IPv4 or IPv6. */
export function portsOf(
  frame: Uint8Array,
): { protocol: 'tcp' | 'udp'; source: number; destination: number } | undefined {
  const found = addressesOf(frame)
  if (found === undefined || found.end - found.transportAt < 4) return undefined
  const protocol = found.protocol === TCP ? 'tcp' : found.protocol === UDP ? 'udp' : undefined
  if (protocol === undefined) return undefined
  const view = viewOf(frame)
  return { protocol, source: view.getUint16(found.transportAt), destination: view.getUint16(found.transportAt + 2) }
}

/** The UDP datagram in a packet, if it is one. */
export function udpOf({ header, frame }: Packet): UdpDatagram | undefined {
  const found = addressesOf(frame)
  if (found?.protocol !== UDP || found.end - found.transportAt < UDP_BYTES) return undefined
  const view = viewOf(frame)
  const length = view.getUint16(found.transportAt + 4)
  if (length < UDP_BYTES || found.transportAt + length > found.end) return undefined
  const sourcePort = view.getUint16(found.transportAt)
  const destinationPort = view.getUint16(found.transportAt + 2)
  return {
    sourcePort,
    destinationPort,
    payload: frame.subarray(found.transportAt + UDP_BYTES, found.transportAt + length),
    reply(payload) {
      const udp = Buffer.alloc(UDP_BYTES + payload.byteLength)
      udp.writeUInt16BE(destinationPort, 0)
      udp.writeUInt16BE(sourcePort, 2)
      udp.writeUInt16BE(udp.byteLength, 4)
      udp.set(payload, UDP_BYTES)
      const pseudo = Buffer.concat([
        found.destination,
        found.source,
        Buffer.of(0, UDP, udp.byteLength >> 8, udp.byteLength & 0xff),
      ])
      // Zero would say that there is none.
      udp.writeUInt16BE(internetChecksum([pseudo, udp]) || 0xffff, 6)
      const ip = found.source.byteLength === 4 ? ipv4Header(found, udp.byteLength) : ipv6Header(found, udp.byteLength)
      const ethernet = Buffer.concat([frame.subarray(6, 12), frame.subarray(0, 6), frame.subarray(12, 14)])
      return { header: new Uint8Array(header.byteLength), frame: Buffer.concat([ethernet, ip, udp]) }
    },
  }
}

/**
 * The packet with a damaged byte, as bad hardware makes it: whoever verifies checksums drops it.
 *
 * A sender that leaves the checksum to its card also tells the receiver not to look at it, so it is filled in first. A
 * packet that its card would still have to cut into many has no single checksum: undefined, as lost.
 */
export function corrupted({ header, frame }: Packet, random: () => number): Packet | undefined {
  const copy = Buffer.from(frame)
  const flags = header[0] ?? 0
  if ((header[1] ?? 0) !== 0) return undefined
  if ((flags & NEEDS_CHECKSUM) !== 0) {
    const view = viewOf(header)
    const start = view.getUint16(6, true)
    const at = start + view.getUint16(8, true)
    if (at + 2 > copy.byteLength) return undefined
    // The field holds the sum of the pseudo header; it is part of what is summed.
    copy.writeUInt16BE(internetChecksum([copy.subarray(start)]) || 0xffff, at)
  }
  // Behind the addresses of Ethernet, so that it still arrives.
  const place = ETHERNET_BYTES + Math.floor(random() * Math.max(1, copy.byteLength - ETHERNET_BYTES))
  if (place >= copy.byteLength) return undefined
  copy[place] = (copy[place] ?? 0) ^ (1 << Math.floor(random() * 8))
  return { header: new Uint8Array(header.byteLength), frame: copy }
}

/** The ones' complement of the ones' complement sum of all 16-bit words (RFC 1071). */
export function internetChecksum(parts: readonly Uint8Array[]): number {
  const bytes = parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts)
  let sum = 0
  for (let at = 0; at < bytes.byteLength; at += 2) sum += ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000)
  return ~sum & 0xffff
}

function addressesOf(frame: Uint8Array): Addresses | undefined {
  if (frame.byteLength < ETHERNET_BYTES + 20) return undefined
  const view = viewOf(frame)
  const type = view.getUint16(12)
  if (type === IPV4) {
    const headerBytes = ((frame[14] ?? 0) & 0x0f) * 4
    const total = view.getUint16(16)
    // A fragment has no ports, except the first, which has not the whole datagram.
    const isFragment = (view.getUint16(20) & 0x3fff) !== 0
    const end = ETHERNET_BYTES + total
    if (headerBytes < 20 || total < headerBytes || end > frame.byteLength || isFragment) return undefined
    return {
      protocol: frame[23] ?? 0,
      transportAt: ETHERNET_BYTES + headerBytes,
      end,
      source: frame.subarray(26, 30),
      destination: frame.subarray(30, 34),
    }
  }
  if (type !== IPV6 || frame.byteLength < ETHERNET_BYTES + 40) return undefined
  const end = ETHERNET_BYTES + 40 + view.getUint16(18)
  if (end > frame.byteLength) return undefined
  return {
    protocol: frame[20] ?? 0,
    transportAt: ETHERNET_BYTES + 40,
    end,
    source: frame.subarray(22, 38),
    destination: frame.subarray(38, 54),
  }
}

function ipv4Header({ source, destination }: Addresses, payloadBytes: number): Buffer {
  const ip = Buffer.alloc(20)
  ip[0] = 0x45
  ip.writeUInt16BE(20 + payloadBytes, 2)
  ip[8] = 64
  ip[9] = UDP
  ip.set(destination, 12)
  ip.set(source, 16)
  ip.writeUInt16BE(internetChecksum([ip]), 10)
  return ip
}

function ipv6Header({ source, destination }: Addresses, payloadBytes: number): Buffer {
  const ip = Buffer.alloc(40)
  ip[0] = 0x60
  ip.writeUInt16BE(payloadBytes, 4)
  ip[6] = UDP
  ip[7] = 64
  ip.set(destination, 8)
  ip.set(source, 24)
  return ip
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
