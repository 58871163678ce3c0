import { describe, expect, it } from 'vitest'
import { seededRandom } from '../../formats/index.ts'
import { BootwrightError } from '../../system/index.ts'
import { noise } from './noise.test-support.ts'
import { corrupted, internetChecksum, portsOf, udpOf } from './packet.ts'
import { encodePacket, type Packet, PacketDecoder } from './packet-stream.ts'

const ETHERNET = '5254 00b0 0700 5254 00b0 0701'
/** 10.77.0.10 port 40000 to 10.77.0.1 port 53, payload "hello". */
const UDP4 = packet(`${ETHERNET} 0800 4500 0021 1234 4000 4011 0000 0a4d 000a 0a4d 0001 9c40 0035 000d 0000 68656c6c6f`)
const UDP6 = packet(
  `${ETHERNET} 86dd 6000 0000 000d 1140 fd77b007000000000000000000000010 fd77b007000000000000000000000001
   9c40 0035 000d 0000 68656c6c6f`,
)
/** With a checksum that the card is to fill in: flags 1, csum_start 34, csum_offset 6; the field holds the pseudo header's sum. */
const UNFINISHED = { header: hex('01 00 0000 0000 2200 0600 0000'), frame: Buffer.from(UDP4.frame) }

function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(/\s/g, ''), 'hex')
}

function packet(text: string): Packet {
  return { header: new Uint8Array(12), frame: hex(text) }
}

/** The sum over pseudo header and datagram, which is 0 where the checksum is right. */
function udpSum(frame: Uint8Array, isIpv4: boolean): number {
  const addresses = isIpv4 ? frame.subarray(26, 34) : frame.subarray(22, 54)
  const udp = frame.subarray(isIpv4 ? 34 : 54)
  return internetChecksum([addresses, Buffer.of(0, 17, 0, udp.byteLength), udp])
}

describe('a stream of packets', () => {
  const packets = [UDP4, UDP6, { header: new Uint8Array(), frame: Buffer.alloc(60, 7) }]
  const bytes = Buffer.concat(packets.map(encodePacket))

  it.for([1, 3, 8, 50, 1000])('gives back what went in, in pieces of %i bytes', (size) => {
    const decoder = new PacketDecoder()
    const found: Packet[] = []
    for (let at = 0; at < bytes.length; at += size) found.push(...decoder.push(bytes.subarray(at, at + size)))
    expect(found.map(encodePacket)).toEqual(packets.map(encodePacket))
  })

  it.for([
    ['a packet above the limit', 'ffffffff 00000000'],
    ['a header longer than its packet', '00000004 00000005'],
    ['a header above the limit', '00001000 00000100'],
  ])('refuses %s', ([, text]) => {
    expect(() => new PacketDecoder().push(hex(text ?? ''))).toThrow(
      expect.objectContaining({ code: 'MALFORMED_INPUT' }),
    )
  })

  it('survives garbage', () => {
    for (let seed = 0; seed < 200; seed++) {
      try {
        new PacketDecoder().push(noise(seed, 300))
      } catch (error) {
        expect(error).toBeInstanceOf(BootwrightError)
      }
    }
  })
})

describe('udpOf()', () => {
  it.for([
    ['IPv4', UDP4, true],
    ['IPv6', UDP6, false],
  ] as const)('reads a datagram over %s, and answers it with checksums that are right', ([, asked, isIpv4]) => {
    const datagram = udpOf(asked)
    expect(datagram).toMatchObject({ sourcePort: 40000, destinationPort: 53 })
    expect(Buffer.from(datagram?.payload ?? []).toString()).toBe('hello')
    const answer = datagram?.reply(Buffer.from('answers')) as Packet
    expect(answer.header).toEqual(new Uint8Array(12))
    expect(portsOf(answer.frame)).toEqual({ protocol: 'udp', source: 53, destination: 40000 })
    expect(udpSum(answer.frame, isIpv4)).toBe(0)
    if (isIpv4) expect(internetChecksum([answer.frame.subarray(14, 34)])).toBe(0)
    expect(Buffer.from(udpOf(answer)?.payload ?? []).toString()).toBe('answers')
    const [to, from] = [asked.frame.subarray(0, 6), asked.frame.subarray(6, 12)]
    expect([answer.frame.subarray(6, 12), answer.frame.subarray(0, 6)]).toEqual([to, from])
  })

  it('finds none in what is cut, fragmented or something else', () => {
    for (let length = 0; length < UDP4.frame.length; length++) {
      expect(udpOf({ ...UDP4, frame: UDP4.frame.subarray(0, length) })).toBeUndefined()
    }
    const fragment = Buffer.from(UDP4.frame)
    fragment[20] = 0x20
    expect(udpOf({ ...UDP4, frame: fragment })).toBeUndefined()
    for (let seed = 0; seed < 300; seed++) {
      const bytes = noise(seed, 80)
      bytes.set(UDP4.frame.subarray(12, 16 + (seed % 10)), 12)
      udpOf({ header: new Uint8Array(12), frame: bytes })
      portsOf(bytes)
    }
  })
})

describe('corrupted()', () => {
  it('changes one bit behind the Ethernet header', () => {
    const random = seededRandom(1)
    for (let round = 0; round < 50; round++) {
      const { frame } = corrupted(UDP4, random) as Packet
      const changed = [...frame].flatMap((byte, index) => (byte === UDP4.frame[index] ? [] : [index]))
      expect(changed).toHaveLength(1)
      expect(changed[0]).toBeGreaterThanOrEqual(14)
    }
  })

  it('leaves no word to the receiver that the checksum need not be looked at', () => {
    UNFINISHED.frame.writeUInt16BE(
      ~internetChecksum([UDP4.frame.subarray(26, 34), Buffer.of(0, 17, 0, 13)]) & 0xffff,
      40,
    )
    const right = Buffer.from(UNFINISHED.frame)
    right.writeUInt16BE(internetChecksum([right.subarray(34)]), 40)
    expect(udpSum(right, true)).toBe(0)
    // Where the damage is in the datagram, its sum is now wrong.
    const random = seededRandom(5)
    for (let round = 0; round < 50; round++) {
      const { header, frame } = corrupted(UNFINISHED, random) as Packet
      expect([...header]).toEqual(Array(12).fill(0))
      const at = [...frame].findIndex((byte, index) => byte !== right[index])
      if (at >= 34) expect(udpSum(frame, true)).not.toBe(0)
    }
  })

  it('loses a packet that has no checksum of its own yet', () => {
    expect(
      corrupted({ header: hex('01 01 0000 dc05 2200 1000 0000'), frame: UDP4.frame }, seededRandom(1)),
    ).toBeUndefined()
  })
})
