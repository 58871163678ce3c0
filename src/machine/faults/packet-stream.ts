import { BootwrightError } from '../../system/index.ts'

/** A packet between a machine and its network: an Ethernet frame behind the header that virtio has for it. */
export interface Packet {
  /** `struct virtio_net_hdr` (virtio 1.3, 5.1.6); its length is the backend's choice. */
  readonly header: Uint8Array
  readonly frame: Uint8Array
}

/** QEMU's own limit for one packet (NET_BUFSIZE). */
const MAX_PACKET_BYTES = 4096 + 65536
const MAX_HEADER_BYTES = 64

/** A packet as QEMU's net filters send it with `vnet_hdr_support`: two big-endian lengths, header, frame. */
export function encodePacket({ header, frame }: Packet): Buffer {
  const lengths = Buffer.alloc(8)
  lengths.writeUInt32BE(header.byteLength + frame.byteLength, 0)
  lengths.writeUInt32BE(header.byteLength, 4)
  return Buffer.concat([lengths, header, frame])
}

/** Cuts what comes from QEMU's net filters into packets, whatever pieces it comes in. */
export class PacketDecoder {
  #rest: Buffer = Buffer.alloc(0)

  /** The packets that are whole now. Throws `MALFORMED_INPUT` when this cannot be such a stream. */
  push(bytes: Uint8Array): Packet[] {
    const all = this.#rest.length === 0 ? Buffer.from(bytes) : Buffer.concat([this.#rest, bytes])
    const packets: Packet[] = []
    let at = 0
    while (all.length - at >= 8) {
      const length = all.readUInt32BE(at)
      const headerLength = all.readUInt32BE(at + 4)
      if (length > MAX_PACKET_BYTES || headerLength > MAX_HEADER_BYTES || headerLength > length) {
        throw new BootwrightError(
          'MALFORMED_INPUT',
          `Cannot read a packet of QEMU: lengths ${length} and ${headerLength}, at most ${MAX_PACKET_BYTES} and ${MAX_HEADER_BYTES}`,
        )
      }
      if (all.length - at - 8 < length) break
      const frame = all.subarray(at + 8, at + 8 + length)
      packets.push({ header: frame.subarray(0, headerLength), frame: frame.subarray(headerLength) })
      at += 8 + length
    }
    this.#rest = Buffer.from(all.subarray(at))
    return packets
  }
}
