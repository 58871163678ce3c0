import { describe, expect, it } from 'vitest'
import { type DnsFailure, dnsAnswer, dnsQuestion } from './dns-answer.ts'
import { failDns } from './dns-stage.ts'
import { type Direction, type Impairment, impair } from './impairment.ts'
import { noise } from './noise.test-support.ts'
import { udpOf } from './packet.ts'
import type { Packet } from './packet-stream.ts'
import { separate } from './separation.ts'

const A = 1
const AAAA = 28

function query(name: string, type: number): Buffer {
  const labels = name.split('.').map((label) => Buffer.from([label.length, ...Buffer.from(label)]))
  const tail = Buffer.of(0, 0, type, 0, 1)
  // Identifier 0xabcd, "recursion desired", one question, one additional record (EDNS).
  const edns = Buffer.from('0000290200000000000000', 'hex')
  return Buffer.concat([Buffer.from('abcd01000001000000000001', 'hex'), ...labels, tail, edns])
}

/** A datagram to port 53 of a name server. */
function datagram(payload: Uint8Array, port = 53): Packet {
  const frame = Buffer.alloc(42 + payload.length)
  Buffer.from('525400b00700525400b007010800450000000000400040110000', 'hex').copy(frame)
  frame.writeUInt16BE(28 + payload.length, 16)
  frame.set([10, 77, 0, 10, 10, 77, 0, 1], 26)
  frame.writeUInt16BE(40000, 34)
  frame.writeUInt16BE(port, 36)
  frame.writeUInt16BE(8 + payload.length, 38)
  frame.set(payload, 42)
  return { header: new Uint8Array(12), frame }
}

const ask = (name: string, type: number, failure: DnsFailure): Buffer => {
  const message = query(name, type)
  const question = dnsQuestion(message)
  if (question === undefined) throw new Error('no question')
  return Buffer.from(dnsAnswer(message, question, failure) ?? [])
}

describe('dnsAnswer()', () => {
  it.for([
    ['refused', 0x8185],
    ['servfail', 0x8182],
    ['nxdomain', 0x8183],
  ] as const)('%s: the question comes back with that code and nothing else', ([failure, flags]) => {
    const answer = ask('web.example', A, failure)
    expect(answer.readUInt16BE(0)).toBe(0xabcd)
    expect(answer.readUInt16BE(2)).toBe(flags)
    expect([4, 6, 8, 10].map((at) => answer.readUInt16BE(at))).toEqual([1, 0, 0, 0])
    expect(answer.subarray(12)).toEqual(query('web.example', A).subarray(12, 29))
  })

  it('gives wrong addresses of the kind that was asked for', () => {
    const failure = { wrongAddresses: ['192.0.2.7', 'fd00::1:2', '::ffff:192.0.2.9'] }
    const four = ask('web.example', A, failure)
    expect(four.readUInt16BE(6)).toBe(1)
    expect(four.subarray(-6)).toEqual(Buffer.of(0, 4, 192, 0, 2, 7))
    const six = ask('web.example', AAAA, failure)
    expect(six.readUInt16BE(6)).toBe(2)
    expect(six.subarray(-44, -28)).toEqual(Buffer.from('fd000000000000000000000000010002', 'hex'))
    expect(six.subarray(-16)).toEqual(Buffer.from('00000000000000000000ffffc0000209', 'hex'))
    expect(ask('web.example', 15, failure).readUInt16BE(6)).toBe(0)
  })

  it('finds no question in anything that is none', () => {
    const message = query('web.example', A)
    expect(dnsQuestion(message)).toMatchObject({ name: 'web.example', type: A })
    for (let length = 0; length < 29; length++) expect(dnsQuestion(message.subarray(0, length))).toBeUndefined()
    const answer = Buffer.from(message)
    answer[2] = 0x81
    expect(dnsQuestion(answer)).toBeUndefined()
    for (let seed = 0; seed < 500; seed++) {
      const bytes = Buffer.from(noise(seed, 60))
      bytes.set(message.subarray(0, 12))
      const found = dnsQuestion(bytes)
      if (found !== undefined) expect(found.end).toBeLessThanOrEqual(60)
    }
  })
})

describe('failDns()', () => {
  const send = (failure: DnsFailure, packet: Packet, names?: string[]) => {
    const replies: Packet[] = []
    const passed = failDns(failure, names === undefined ? {} : { names })(packet, 'from-machine', (one) =>
      replies.push(one),
    )
    return { passed: passed.length, replies: replies.map((one) => Buffer.from(udpOf(one)?.payload ?? [])) }
  }

  it('answers in place of the server', () => {
    const { passed, replies } = send('servfail', datagram(query('a.b', A)))
    expect(passed).toBe(0)
    expect(replies.map((reply) => reply.readUInt16BE(2))).toEqual([0x8182])
  })

  it('is silent where it is to be', () => {
    expect(send('silent', datagram(query('a.b', A)))).toEqual({ passed: 0, replies: [] })
  })

  it('leaves other names, ports and directions alone', () => {
    expect(send('silent', datagram(query('other.test', A)), ['example']).passed).toBe(1)
    expect(send('silent', datagram(query('notexample', A)), ['example']).passed).toBe(1)
    expect(send('silent', datagram(query('Web.Example', A)), ['example.']).passed).toBe(0)
    expect(send('silent', datagram(query('a.b', A), 54)).passed).toBe(1)
    expect(failDns('silent')(datagram(query('a.b', A)), 'to-machine', () => undefined)).toHaveLength(1)
  })

  it('refuses a wrong answer that is no address', () => {
    expect(() => failDns({ wrongAddresses: ['elsewhere'] })).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
    )
  })
})

describe('impair()', () => {
  const packet = datagram(Buffer.from('x'), 9)
  const fates = (impairment: Impairment, count = 2_000) => {
    const stage = impair(impairment)
    return Array.from({ length: count }, () => stage(packet, 'from-machine', () => undefined))
  }

  it('hands packets on as they are without anything', () => {
    expect(fates({}, 1)).toEqual([[{ packet, afterMs: 0 }]])
  })

  it('makes them later, spread around the delay', () => {
    expect(fates({ delayMs: 200 }, 1)).toEqual([[{ packet, afterMs: 200 }]])
    const times = fates({ delayMs: 100, jitterMs: 50 }).map(([one]) => one?.afterMs ?? 0)
    expect(Math.min(...times)).toBeGreaterThanOrEqual(50)
    expect(Math.max(...times)).toBeLessThan(150)
    expect(Math.max(...times) - Math.min(...times)).toBeGreaterThan(80)
  })

  it.for([
    [{ loss: 0.25 }, (copies: number) => copies === 0],
    [{ duplicate: 0.25 }, (copies: number) => copies === 2],
  ] as const)('%j befalls a quarter of them', ([impairment, isHit]) => {
    const hits = fates(impairment).filter((copies) => isHit(copies.length)).length
    expect(hits).toBeGreaterThan(420)
    expect(hits).toBeLessThan(580)
  })

  it('loses all or none', () => {
    expect(fates({ loss: 1 }).every((copies) => copies.length === 0)).toBe(true)
    expect(fates({ loss: 0 }).every((copies) => copies.length === 1)).toBe(true)
  })

  it('corrupts', () => {
    const frames = fates({ corrupt: 1 }, 20).map(([one]) => Buffer.from(one?.packet.frame ?? []))
    expect(
      frames.every((frame) => frame.length === packet.frame.length && !frame.equals(Buffer.from(packet.frame))),
    ).toBe(true)
  })

  it('does the same with the same seed, and something else with another', () => {
    const shape = (seed: number) => fates({ loss: 0.5, seed }, 64).map((copies) => copies.length)
    expect(shape(3)).toEqual(shape(3))
    expect(shape(3)).not.toEqual(shape(4))
  })

  it('leaves the other direction alone', () => {
    const stage = impair({ loss: 1, direction: 'to-machine' })
    expect(stage(packet, 'from-machine', () => undefined)).toHaveLength(1)
    expect(stage(packet, 'to-machine', () => undefined)).toHaveLength(0)
  })

  it.for([
    { loss: 1.1 },
    { loss: Number.NaN },
    { duplicate: -1 },
    { corrupt: 2 },
    { delayMs: -1 },
    { jitterMs: Number.POSITIVE_INFINITY },
    { seed: 0.5 },
  ] satisfies Impairment[])('refuses %j', (impairment) => {
    expect(() => impair(impairment)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
  })
})

describe('separate()', () => {
  /** From the machine ...07:01 to the gateway ...07:00. */
  const packet = datagram(query('a.example', A))
  const passes = (addresses: string[], direction: Direction): boolean =>
    separate(addresses)(packet, direction, () => undefined).length === 1

  it('loses what goes to the others, and what comes from them', () => {
    expect(passes(['52:54:00:B0:07:00'], 'from-machine')).toBe(false)
    expect(passes(['52:54:00:b0:07:09', '52:54:00:b0:07:01'], 'to-machine')).toBe(false)
  })

  it('leaves the rest of the network in reach', () => {
    expect(passes(['52:54:00:b0:07:09'], 'from-machine')).toBe(true)
    expect(passes(['52:54:00:b0:07:09'], 'to-machine')).toBe(true)
    expect(passes(['52:54:00:b0:07:01'], 'from-machine')).toBe(true)
  })
})
