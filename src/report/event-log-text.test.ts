import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parseEventLog, parsePcrBanks, parseUserspaceLog } from '../measure/index.ts'
import { eventLogJson } from './event-log-json.ts'
import { eventLogHolds, eventLogReport } from './event-log-report.ts'
import { eventLogText } from './event-log-text.ts'

const FIXTURES = join(import.meta.dirname, '../measure/prediction/fixtures')
const plain = { isColored: false }

function fixture(image: string) {
  const read = (name: string): Buffer => readFileSync(join(FIXTURES, image, name))
  return {
    log: parseEventLog(read('event-log.bin')),
    userspaceLog: parseUserspaceLog(read('tpm2-measure.log')),
    actual: parsePcrBanks(JSON.parse(read('pcrs.json').toString())),
  }
}

/** TCG_PCR_EVENT: a log of TCG 1.2 has nothing else. */
function sha1Record(pcr: number, type: number, digest: Uint8Array, data: Uint8Array): Buffer {
  const head = Buffer.alloc(8)
  head.writeUInt32LE(pcr, 0)
  head.writeUInt32LE(type, 4)
  const size = Buffer.alloc(4)
  size.writeUInt32LE(data.byteLength)
  return Buffer.concat([head, digest, size, data])
}

const minimal = fixture('minimal')
const listed = (only: readonly number[], more: Partial<Parameters<typeof eventLogReport>[0]> = {}): string =>
  eventLogText(eventLogReport({ ...minimal, only: new Set(only), ...more }), plain)

describe('eventLogText()', () => {
  it('gives a line a record, then the values that they lead to, and whether those were found', () => {
    expect(listed([7, 12])).toBe(`\
 #  PCR  type                           sha256            what the record says
 4    7  EV_EFI_VARIABLE_DRIVER_CONFIG  ce9ce386b52e099f  SecureBoot (0 bytes, 8be4df61-93ca-11d2-aa0d-00e098032b8c)
 5    7  EV_EFI_VARIABLE_DRIVER_CONFIG  dea7b80ab53a3daa  PK (0 bytes, 8be4df61-93ca-11d2-aa0d-00e098032b8c)
 6    7  EV_EFI_VARIABLE_DRIVER_CONFIG  e670e121fcebd473  KEK (0 bytes, 8be4df61-93ca-11d2-aa0d-00e098032b8c)
 7    7  EV_EFI_VARIABLE_DRIVER_CONFIG  baf89a3ccace5275  db (0 bytes, d719b2cb-3d3a-4596-a3bc-dad00e67656f)
 8    7  EV_EFI_VARIABLE_DRIVER_CONFIG  9f75b6823bff6af1  dbx (0 bytes, d719b2cb-3d3a-4596-a3bc-dad00e67656f)
 9    7  EV_SEPARATOR                   df3f619804a92fdb  separator
43   12  EV_IPL                         f7ce1280a5e3f369  systemd.wants=bootwright-channel.service
systemd's log
 7    7  os-separator                   ff5b9d73dad70963  os-separator
 9   12  os-separator                   ff5b9d73dad70963  os-separator

sha256
   7  03f359c6155efb9c42dd82c470c66f3579ea5721690787e6b1d3b0ac199ff501
  12  17949c242a5eb33c11fdb695c5cad72a31277547e9459474f075a114e7239b9a

✓ 2 of 2 PCR values are those that the logs lead to
`)
  })

  it("leaves IMA's PCR alone, and judges it where the logs have a record of it", () => {
    expect(listed([10])).toBe(`\
no records

– PCR 10 (sha256): not judged, IMA extends it and keeps a log of its own
✗ 0 of 0 PCR values are those that the logs lead to
`)
    const { events } = minimal.log
    const stray = { ...events[9], pcr: 10 } as (typeof events)[number]
    const report = eventLogReport({ ...minimal, log: { ...minimal.log, events: [...events, stray] } })
    expect(report.verification).toMatchObject({ notJudged: [], unexplained: [{ pcr: 10, bank: 'sha256' }] })
  })

  it('explains each value that does not fit', () => {
    const { actual, ...firmwareOnly } = minimal
    const zeros = parsePcrBanks({ sha256: { 0: '00'.repeat(32), 7: '11'.repeat(32) }, sha1: { 7: '22'.repeat(20) } })
    const report = eventLogReport({ ...firmwareOnly, actual: zeros, only: new Set([0, 7]) })
    expect(eventLogHolds(report)).toBe(false)
    expect(eventLogText(report, plain).split('\n').slice(-11)).toEqual([
      '✗ PCR 0 (sha256): it has the value of the first 0 of 5 records: it was read too early, or what follows was logged and never extended',
      '    the logs lead to  3f6b5b50c66d46fb1002a207c45114997ef3d1881b3e27731acb40ef3d6a2ce3',
      `    found             ${'00'.repeat(32)}`,
      '✗ PCR 7 (sha256): the logs do not lead to it, and no reason is known',
      '    the logs lead to  03f359c6155efb9c42dd82c470c66f3579ea5721690787e6b1d3b0ac199ff501',
      `    found             ${'11'.repeat(32)}`,
      '✗ PCR 7 (sha1): the logs have no digests for this bank, or a record has none',
      '    the logs lead to  nothing',
      `    found             ${'22'.repeat(20)}`,
      '✗ 0 of 3 PCR values are those that the logs lead to',
      '',
    ])
    const { userspaceLog: _, ...withoutWords } = minimal
    expect(eventLogText(eventLogReport({ ...withoutWords, only: new Set([7]) }), plain)).toContain(
      "PCR 7 (sha256): it fits with systemd's os-separator behind these records: give its log as well",
    )
  })

  it('marks data that contradicts its digest, and keeps hostile text from moving the cursor', () => {
    const data = Buffer.from('\x1b[2J\u202egood\u2028\n', 'utf16le')
    const name = Buffer.concat([Buffer.alloc(16), Buffer.of(data.length / 2), Buffer.alloc(15), data])
    const log = parseEventLog(
      Buffer.concat([
        sha1Record(7, 0x80000001, Buffer.alloc(20, 7), name),
        sha1Record(0xffffffff, 0xabcdef01, Buffer.alloc(20), Buffer.of(1, 2, 3)),
        sha1Record(1, 0xd, Buffer.alloc(20, 9), Buffer.from('a'.repeat(10_000))),
      ]),
    )
    const text = eventLogText(eventLogReport({ log }), plain)
    const [head, first, second, third] = text.split('\n')
    expect(head).toBe('#         PCR  type                           sha1              what the record says')
    expect(first).toBe(
      `0           7  EV_EFI_VARIABLE_DRIVER_CONFIG  0707070707070707  \uFFFD[2J\uFFFDgood\uFFFD\uFFFD (0 bytes, ${'00000000-0000-0000-0000-000000000000'})  ✗ contradicts its digest`,
    )
    expect(second).toBe('1  0xffffffff  0xabcdef01                     0000000000000000  3 bytes')
    expect(third?.length).toBeLessThan(4300)
    for (const hostile of ['\x1b', '\u202e', '\u2028']) expect(text).not.toContain(hostile)
  })

  it('shows digests of the strongest bank, and nothing for what was not extended', () => {
    const [first] = eventLogReport({ log: minimal.log }).events
    expect(first).toMatchObject({ type: 'EV_NO_ACTION', text: 'Spec ID Event03' })
    expect(listed([0]).split('\n')[1]).toBe(' 0    0  EV_NO_ACTION                   -                 Spec ID Event03')
  })

  it('tells what two logs have different, and counts it', () => {
    const { log, userspaceLog } = fixture('cloud')
    const report = eventLogReport({ ...minimal, other: { log, userspaceLog }, only: new Set([7, 12, 15]) })
    expect(eventLogHolds(report)).toBe(false)
    const [first, second, ...rest] = eventLogText({ ...report, events: [] }, plain).split('\n')
    expect(first).toMatch(
      /^PCR 12 {2}\+ unexpected {2}word "imds-userdata:.*: measured, but not predicted; sha256 20705fde5a46895a…$/,
    )
    expect(second).toMatch(
      /^PCR 15 {2}✗ different {3}machine-id:b0.*: expected "machine-id:b0.*", found "machine-id:ec/,
    )
    expect(rest.slice(0, 5)).toEqual([
      '',
      'PCR  predicted  equal  different  missing  unexpected  unknown',
      '  7          7      7          ·        ·           ·        ·',
      ' 12          2      2          ·        ·           1        ·',
      ' 15          2      1          1        ·           ·        ·',
    ])
  })

  it('says so if nothing differs', () => {
    const { log, userspaceLog } = minimal
    const report = eventLogReport({ log, userspaceLog, other: { log, userspaceLog } })
    expect(eventLogHolds(report)).toBe(true)
    expect(eventLogText(report, plain)).toMatch(/^the logs are alike\n\nPCR {2}predicted/)
  })

  it('tells of the locality that the TPM was started from, which is no event', () => {
    const { log } = minimal
    const report = eventLogReport({ log, other: { log: { ...log, startupLocality: 3 } } })
    expect(eventLogHolds(report)).toBe(false)
    expect(eventLogText(report, plain)).toContain('TPM started from locality: expected 0, found 3')
  })

  it("shows systemd's log alone, NvPCRs too, without values that it cannot lead to", () => {
    const record = (json: object): string => `\x1e${JSON.stringify(json)}\n`
    const digests = [{ hashAlg: 'sha256', digest: 'ab'.repeat(32) }]
    const userspaceLog = parseUserspaceLog(
      Buffer.from(
        record({
          nv_index: 0x1d10200,
          digests,
          content: { nvIndexName: 'hardware', string: 'x', eventType: 'product-id' },
        }) +
          record({ pcr: 11, digests, content: { string: 'enter-initrd', eventType: 'phase' } }) +
          '\x1e{"pcr"',
      ),
      { fileMode: 0o1600 },
    )
    const report = eventLogReport({ userspaceLog })
    expect(report).toMatchObject({ format: 'userspace', pcrs: {}, banks: ['sha256'] })
    expect(report.events[0]).toMatchObject({ nvIndex: 0x1d10200, data: 'description' })
    expect(eventLogJson(report)).toHaveProperty('events.0.nvIndex', '0x01d10200')
    expect(eventLogText(report, plain)).toBe(`\
#  PCR  type        sha256            what the record says
0   NV  product-id  abababababababab  hardware: x
1   11  phase       abababababababab  enter-initrd  ✗ contradicts its digest

note: the record of 7 bytes at offset ${userspaceLog.unfinished[0]?.offset} of systemd's log was never finished
note: systemd's log is marked as dirty: something may have been extended that it does not have
`)
  })

  it('colors only where that is asked for', () => {
    const report = eventLogReport(minimal)
    expect(eventLogText(report, plain)).not.toContain('\x1b')
    expect(eventLogText(report, { isColored: true })).toContain('\x1b[')
  })
})

describe('eventLogJson()', () => {
  it('is plain data that JSON keeps', () => {
    const { log, userspaceLog } = fixture('cloud')
    const report = eventLogReport({ ...minimal, other: { log, userspaceLog } })
    const json = eventLogJson(report)
    expect(JSON.parse(JSON.stringify(json))).toEqual(json)
    expect(json).toMatchObject({ schema: 1, format: 'crypto-agile', irregularities: [] })
    expect(report.events).toHaveLength(52 + 19)
    expect(json).toHaveProperty('events.16', {
      log: 'firmware',
      index: 16,
      offset: expect.any(Number),
      pcr: 1,
      type: 'EV_EFI_VARIABLE_BOOT',
      digests: { sha256: expect.stringMatching(/^35c22b9d542e87df[0-9a-f]{48}$/) },
      data: 'verified',
      text: 'BootOrder (8 bytes, 8be4df61-93ca-11d2-aa0d-00e098032b8c)',
      payload: {
        kind: 'variable',
        vendorGuid: '8be4df61-93ca-11d2-aa0d-00e098032b8c',
        name: 'BootOrder',
        value: '0200000001000300',
      },
    })
    expect(Object.keys(report.pcrs.sha256 ?? {})).toHaveLength(24)
    expect(report.verification).toMatchObject({ fits: true, values: 23 })
    expect(report.differences?.find(({ status }) => status === 'unexpected')).toMatchObject({
      pcr: 1,
      found: { sha256: expect.any(String) },
      record: { log: 'firmware', offset: expect.any(Number) },
    })
    expect(report.summary?.['15']).toMatchObject({ predicted: 2, equal: 1, different: 1 })
  })

  it('names the PCRs that have no value, and why', () => {
    const { events } = minimal.log
    const without = { ...events[9], digests: new Map() } as (typeof events)[number]
    const report = eventLogReport({ log: { ...minimal.log, events: events.with(9, without) } })
    expect(report.irregularities).toEqual(['PCR 7 has no value in bank sha256: a record has no digest for it'])
    expect(report.pcrs.sha256).not.toHaveProperty('7')
  })
})
