import { describe, expect, it } from 'vitest'
import { eventTypeName, parseEventLog, replayEventLog } from './index.ts'
import {
  agileLog,
  agileRecord,
  ascii,
  garbage,
  ovmfBoot,
  resultOrMalformed,
  separator,
  sha1Record,
  specIdRecord,
  startupLocality,
  u16,
  u16z,
  u32,
} from './log-writer.test-support.ts'

const events = ovmfBoot()
const log = agileLog(events)
const separatorData = Buffer.alloc(4)

/** A bare TCG_PCR_EVENT2 with digests of our choosing. */
function record(digests: Buffer[], count = digests.length, data = separatorData): Buffer {
  return Buffer.concat([u32(1), u32(4), u32(count), ...digests, u32(data.byteLength), data])
}
const sha256Digest = Buffer.concat([u16(0xb), Buffer.alloc(32, 7)])

describe('parseEventLog() on crypto-agile logs', () => {
  it('reads every record as logged', () => {
    const parsed = parseEventLog(log)
    expect(parsed).toMatchObject({ format: 'crypto-agile', startupLocality: 0, padding: undefined, irregularities: [] })
    expect(parsed.banks).toEqual(['sha1', 'sha256', 'sha384', 'sha512'])
    expect(parsed.specId).toMatchObject({
      platformClass: 0,
      specVersion: { major: 2, minor: 0, errata: 0 },
      uintnBytes: 8,
    })
    expect(parsed.events[0]?.unverifiedData.byteLength).toBe(45)
    expect(parsed.events.slice(1).map(({ pcr, untrustedType }) => [pcr, untrustedType])).toEqual(
      events.map(({ pcr, type }) => [pcr, type]),
    )
    const version = parsed.events[1]
    expect(version?.offset).toBe(32 + 45)
    expect(Buffer.from(version?.unverifiedData ?? []).equals(u16z('2026.08+ds-2'))).toBe(true)
    expect(Buffer.from(version?.digests.get('sha256') ?? []).toString('hex')).toMatch(/^3dcd83b78f36d658/)
  })

  it('rejects every truncation inside a record, and takes one between records for a shorter log', () => {
    const ends = new Map(parseEventLog(log).events.map(({ offset, index }) => [offset, index]))
    ends.delete(0)
    for (let length = 0; length < log.byteLength; length++) {
      const parsed = resultOrMalformed(() => parseEventLog(log.subarray(0, length)))
      const whole = ends.get(length)
      if (whole !== undefined) {
        expect(parsed?.events, `cut at ${length}`).toHaveLength(whole)
        expect(parsed?.padding).toBeUndefined()
      } else if (parsed !== undefined) {
        // The first bytes of a record of PCR 0 are zeros, as padding is: then the log says that it saw some.
        expect(parsed.padding?.size, `cut at ${length}`).toBeLessThan(5)
        expect(log.readUInt32LE(parsed.padding?.offset)).toBe(0)
      }
    }
  })

  it.for([0x00, 0xff])('stops at padding of 0x%s', (fill) => {
    const parsed = parseEventLog(Buffer.concat([log, Buffer.alloc(5000, fill)]))
    expect(parsed.events).toHaveLength(events.length + 1)
    expect(parsed.padding).toEqual({ offset: log.byteLength, size: 5000 })
    expect(parsed.irregularities).toEqual([])
  })

  it('says so when something follows the padding', () => {
    const parsed = parseEventLog(Buffer.concat([log, Buffer.alloc(64), agileRecord(separator(9))]))
    expect(parsed.events).toHaveLength(events.length + 1)
    expect(parsed.irregularities).toEqual([`the padding at offset ${log.byteLength} ends at ${log.byteLength + 64}`])
  })

  it('takes no longer for a log of empty records that ends in a surprise', () => {
    const empty = Buffer.concat([u32(1), u32(0), u32(0), u32(0)])
    const hostile = Buffer.concat([specIdRecord(), ...Array.from({ length: 50_000 }, () => empty), Buffer.of(1)])
    expect(() => parseEventLog(hostile)).toThrow(`pcrIndex at offset ${hostile.byteLength - 1}`)
  })

  it('accepts EV_NO_ACTION for PCR 0xffffffff', () => {
    const bytes = agileLog([{ pcr: 0xffffffff, type: 3, data: ascii('SP800-155 Event\0') }, separator(1)])
    const parsed = parseEventLog(bytes)
    expect(parsed.events.map(({ pcr }) => pcr)).toEqual([0, 0xffffffff, 1])
    expect(replayEventLog(parsed).gaps).toEqual([])
  })

  it('skips vendor information, in the Spec ID record or left out of its size', () => {
    const vendorInfo = ascii('\x04VEND')
    const inside = Buffer.concat([specIdRecord([[0xb, 32]], vendorInfo), record([sha256Digest])])
    expect(Buffer.from(parseEventLog(inside).specId?.vendorInfo ?? []).toString()).toBe('VEND')

    const outside = Buffer.from(inside)
    outside.writeUInt32LE(outside.readUInt32LE(28) - 4, 28)
    const parsed = parseEventLog(outside)
    expect(parsed.events).toHaveLength(2)
    expect(Buffer.from(parsed.specId?.vendorInfo ?? []).toString()).toBe('VEND')
    expect(parsed.irregularities).toEqual(['eventSize of the Spec ID record leaves out 4 bytes of vendor information'])
  })

  it('skips digests of an unknown algorithm by the size in the Spec ID record', () => {
    const sm3 = Buffer.concat([u16(0x12), Buffer.alloc(32, 3)])
    const odd = Buffer.concat([u16(0x7777), Buffer.alloc(5, 9)])
    const bytes = Buffer.concat([
      specIdRecord([
        [0x7777, 5],
        [0xb, 32],
        [0x12, 32],
      ]),
      record([odd, sha256Digest, sm3]),
    ])
    const parsed = parseEventLog(bytes)
    expect(parsed.banks).toEqual(['sha256'])
    expect([...(parsed.events[1]?.digests.keys() ?? [])]).toEqual(['sha256'])
    expect(
      [...(parsed.events[1]?.otherDigests.entries() ?? [])].map(([id, digest]) => [id, digest.byteLength]),
    ).toEqual([
      [0x7777, 5],
      [0x12, 32],
    ])
  })

  const sha256Only = specIdRecord([[0xb, 32]])
  it.for<[string, Buffer, string]>([
    ['more digests than algorithms', record([sha256Digest, sha256Digest]), 'names 1 algorithms, found 2 digests'],
    ['4 G digests', record([], 0xffffffff), 'found 4294967295 digests'],
    ['an algorithm that was not announced', record([Buffer.concat([u16(4), Buffer.alloc(20)])]), '0x0004 is not in'],
    ['an event of 4 GiB', Buffer.concat([record([sha256Digest]).subarray(0, -8), u32(0xffffffff)]), 'event at offset'],
  ])('rejects a record with %s', ([, bytes, message]) => {
    expect(() => parseEventLog(Buffer.concat([sha256Only, bytes]))).toThrow(message)
  })

  it('rejects a record that has two digests of one algorithm', () => {
    const bytes = Buffer.concat([
      specIdRecord([
        [0xb, 32],
        [0x12, 32],
      ]),
      record([sha256Digest, sha256Digest]),
    ])
    expect(() => parseEventLog(bytes)).toThrow('algorithm 0x000b occurs twice in one record')
  })

  it.for<[string, Buffer, string]>([
    ['no algorithm', specIdRecord([]), 'numberOfAlgorithms'],
    [
      'an algorithm twice',
      specIdRecord([
        [0xb, 32],
        [0xb, 32],
      ]),
      'occurs twice',
    ],
    ['a wrong digest size', specIdRecord([[0xb, 20]]), 'has digests of 32 bytes, found 20'],
    ['a digest of no bytes', specIdRecord([[0x99, 0]]), 'found 0'],
    ['vendor information that is not there', specIdRecord([[0xb, 32]], Buffer.of(200, 1)), 'vendorInfo'],
  ])('rejects a Spec ID record with %s', ([, bytes, message]) => {
    expect(() => parseEventLog(bytes)).toThrow(message)
  })

  it('rejects a Spec ID record with 4 G algorithms', () => {
    const bytes = specIdRecord()
    bytes.writeUInt32LE(0xffffffff, 32 + 24)
    expect(() => parseEventLog(bytes)).toThrow('expected 1 to 4 for the 17 bytes left, found 4294967295')
  })
})

describe('parseEventLog() on SHA-1 logs', () => {
  const sha1Log = Buffer.concat(events.map(sha1Record))

  it.for<[string, Buffer]>([
    ['nothing in front', Buffer.alloc(0)],
    ['Spec ID Event02', sha1Record({ pcr: 0, type: 3, data: ascii('Spec ID Event02\0\0\0\0\0\0\x02\x01\0\x02\0') })],
  ])('reads fixed-size records to the end, with %s', ([, head]) => {
    const parsed = parseEventLog(Buffer.concat([head, sha1Log]))
    expect(parsed).toMatchObject({ format: 'sha1', banks: ['sha1'], specId: undefined, padding: undefined })
    expect(parsed.events).toHaveLength(events.length + (head.byteLength > 0 ? 1 : 0))
  })

  it('stops at padding', () => {
    for (const fill of [0, 0xff]) {
      const parsed = parseEventLog(Buffer.concat([sha1Log, Buffer.alloc(100, fill)]))
      expect(parsed.padding).toEqual({ offset: sha1Log.byteLength, size: 100 })
    }
  })

  it('reads a lone StartupLocality record of 49 bytes', () => {
    const bytes = sha1Record(startupLocality(3))
    expect(bytes.byteLength).toBe(49)
    expect(parseEventLog(bytes)).toMatchObject({ format: 'sha1', startupLocality: 3 })
  })

  it('rejects every truncation inside a record', () => {
    const ends = new Set(parseEventLog(sha1Log).events.map(({ offset }) => offset))
    ends.delete(0)
    for (let length = 0; length < sha1Log.byteLength; length++) {
      const parsed = resultOrMalformed(() => parseEventLog(sha1Log.subarray(0, length)))
      if (ends.has(length)) expect(parsed?.padding).toBeUndefined()
      else if (parsed !== undefined) expect(parsed.padding?.size, `cut at ${length}`).toBeLessThan(5)
    }
  })
})

describe('parseEventLog() on anything else', () => {
  it.for<[string, Buffer]>([
    ['no bytes', Buffer.alloc(0)],
    ['zeros', Buffer.alloc(65536)],
    ['ones', Buffer.alloc(65536, 0xff)],
    ['text', ascii('PCR 0: sha256 0123456789abcdef 0123456789abcdef')],
  ])('rejects %s', ([, bytes]) => {
    expect(() => parseEventLog(bytes)).toThrow(expect.objectContaining({ code: 'MALFORMED_INPUT' }))
  })

  it('survives damage and garbage', () => {
    const outcomes = new Set<boolean>()
    for (let seed = 1; seed <= 1500; seed++) {
      const noise = garbage(seed, 4)
      const copy = Buffer.from(log)
      copy[(((noise[0] ?? 0) << 8) | (noise[1] ?? 0)) % copy.byteLength] = noise[2] ?? 0
      outcomes.add(resultOrMalformed(() => replayEventLog(parseEventLog(copy))) === undefined)
      resultOrMalformed(() => parseEventLog(garbage(seed, seed)))
      resultOrMalformed(() => parseEventLog(Buffer.concat([specIdRecord(), garbage(seed, seed % 500)])))
    }
    expect(outcomes).toEqual(new Set([true, false]))
  })
})

it('eventTypeName() knows names, and shows the number of what it does not know', () => {
  expect(eventTypeName(0x80000006)).toBe('EV_EFI_GPT_EVENT')
  expect(eventTypeName(0x6)).toBe('EV_EVENT_TAG')
  expect(eventTypeName(0x2)).toBe('0x00000002')
})
