import { describe, expect, it } from 'vitest'
import { parseUserspaceLog, userspaceExtends } from './index.ts'
import { garbage, resultOrMalformed, userspaceRecord } from './log-writer.test-support.ts'

const records = [
  userspaceRecord(11, 'enter-initrd'),
  userspaceRecord(7, 'os-separator', 'os-separator'),
  userspaceRecord(15, 'machine-id:11111111222243338444555555555555', 'machine-id'),
]
const log = Buffer.from(records.join(''))
const hex = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString('hex')

function recordOf(fields: object): Buffer {
  return Buffer.from(`\x1e${JSON.stringify(fields)}\n`)
}

describe('parseUserspaceLog()', () => {
  it('reads records with their targets, digests and descriptions', () => {
    const parsed = parseUserspaceLog(log)
    expect(parsed).toMatchObject({ unfinished: [], isDirty: false })
    expect(parsed.records.map(({ target, unverified }) => [target, unverified.eventType])).toEqual([
      [{ kind: 'pcr', pcr: 11 }, 'phase'],
      [{ kind: 'pcr', pcr: 7 }, 'os-separator'],
      [{ kind: 'pcr', pcr: 15 }, 'machine-id'],
    ])
    expect(parsed.records[1]?.offset).toBe(records[0]?.length)
    expect(hex(parsed.records[0]?.digests.get('sha256'))).toBe(
      '51e6b92f405d1f98d96e3de343d61d420ad6923b25de21d766f9298192f14fed',
    )
    expect(hex(parsed.records[1]?.digests.get('sha256'))).toBe(
      'ff5b9d73dad709633ae76adf444012b57e913a12ed7403c3931145862f35f841',
    )
    expect(parsed.records[0]?.unverified).toEqual({
      eventType: 'phase',
      string: 'enter-initrd',
      bootId: '0123456789abcdef0123456789abcdef',
      timestamp: 2_345_678,
    })
  })

  it('keeps NvPCR records, which extend no PCR', () => {
    const digest = 'ab'.repeat(32)
    const nv = recordOf({
      nv_index: 0x1d10202,
      digests: [{ hashAlg: 'sha256', digest }],
      content: { nvIndexName: 'verity' },
    })
    const parsed = parseUserspaceLog(Buffer.concat([nv, log]))
    expect(parsed.records[0]).toMatchObject({
      target: { kind: 'nv', nvIndex: 0x1d10202 },
      unverified: { nvIndexName: 'verity' },
    })
    expect(userspaceExtends(parsed).map(({ pcr }) => pcr)).toEqual([11, 7, 15])
  })

  it('reports a half-written last record, wherever it was cut', () => {
    const start = (records[0]?.length ?? 0) + (records[1]?.length ?? 0)
    for (let length = 0; length < log.byteLength; length++) {
      const parsed = parseUserspaceLog(log.subarray(0, length))
      const whole = [records[0]?.length ?? 0, start].filter((end) => end <= length).length
      expect(parsed.records, `cut at ${length}`).toHaveLength(whole)
      const end = [0, records[0]?.length ?? 0, start][whole] ?? 0
      expect(parsed.unfinished).toEqual(length === end ? [] : [{ offset: end, size: length - end }])
    }
  })

  it('goes on behind a half-written record in the middle', () => {
    const cut = records[0]?.slice(0, 40) ?? ''
    const parsed = parseUserspaceLog(Buffer.from(cut + records[1] + records[2]))
    expect(parsed.unfinished).toEqual([{ offset: 0, size: 40 }])
    expect(parsed.records.map(({ offset }) => offset)).toEqual([40, 40 + (records[1]?.length ?? 0)])
  })

  it('tells a dirty log by its sticky bit', () => {
    expect(parseUserspaceLog(log, { fileMode: 0o101600 }).isDirty).toBe(true)
    expect(parseUserspaceLog(log, { fileMode: 0o100600 }).isDirty).toBe(false)
  })

  it('skips banks that are not handled here', () => {
    const digests = [
      { hashAlg: 'sm3_256', digest: 'ab' },
      { hashAlg: 'sha1', digest: 'AB'.repeat(20) },
    ]
    const parsed = parseUserspaceLog(recordOf({ pcr: 11, digests }))
    expect([...(parsed.records[0]?.digests ?? [])].map(([bank, digest]) => [bank, hex(digest)])).toEqual([
      ['sha1', 'ab'.repeat(20)],
    ])
  })

  const digests = [{ hashAlg: 'sha1', digest: 'ab'.repeat(20) }]
  it.for<[string, Buffer, string]>([
    ['no JSON', Buffer.from('\x1e{"pcr":\n'), 'is not JSON'],
    ['no UTF-8', Buffer.from('1e22ff220a', 'hex'), 'is not JSON'],
    ['no object', Buffer.from('\x1e[1]\n'), 'expected a JSON object'],
    ['deep nesting', Buffer.from(`\x1e${'['.repeat(200_000)}\n`), 'is not JSON'],
    ['no target', recordOf({ digests }), 'either pcr or nv_index'],
    ['two targets', recordOf({ pcr: 1, nv_index: 1, digests }), 'either pcr or nv_index'],
    ['PCR 24', recordOf({ pcr: 24, digests }), 'expected 0 to 23, found 24'],
    ['PCR 1.5', recordOf({ pcr: 1.5, digests }), 'found 1.5'],
    ['PCR null', recordOf({ pcr: null, digests }), 'found null'],
    ['no digests', recordOf({ pcr: 1 }), 'expected a list of digests'],
    ['an empty list of digests', recordOf({ pcr: 1, digests: [] }), 'expected a list of digests'],
    ['a digest twice', recordOf({ pcr: 1, digests: [...digests, ...digests] }), 'sha1 occurs twice'],
    ['a short digest', recordOf({ pcr: 1, digests: [{ hashAlg: 'sha1', digest: 'ab' }] }), 'expected 40 hexadecimal'],
  ])('rejects a finished record with %s, at its offset', ([, bytes, message]) => {
    const place = `at offset ${log.byteLength}:`
    expect(() => parseUserspaceLog(Buffer.concat([log, bytes]))).toThrow(message)
    expect(() => parseUserspaceLog(Buffer.concat([log, bytes]))).toThrow(place)
  })

  it('rejects a file that does not begin with a record', () => {
    expect(() => parseUserspaceLog(Buffer.from('{"pcr":1}\n'))).toThrow('record separator at offset 0: expected 0x1e')
  })

  it('survives garbage', () => {
    for (let seed = 1; seed <= 1000; seed++) {
      const noise = garbage(seed, seed % 300)
      resultOrMalformed(() => parseUserspaceLog(noise))
      resultOrMalformed(() => parseUserspaceLog(Buffer.concat([Buffer.of(0x1e), noise, Buffer.of(0x0a)])))
    }
  })
})
