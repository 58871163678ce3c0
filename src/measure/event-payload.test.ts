import { describe, expect, it } from 'vitest'
import { parseGuid, seededRandom } from '../formats/index.ts'
import { parseEventLog, payloadText, unverifiedPayload } from './index.ts'
import { agileLog, ascii, ovmfBoot, startupLocality, u16z, u64, variable } from './log-writer.test-support.ts'

const GUID = 'eb9d2d31-2d88-11d3-9a16-0090273fc14d'

const said = (type: number, data: Uint8Array): string =>
  payloadText(unverifiedPayload({ untrustedType: type, unverifiedData: data }))

describe('unverifiedPayload()', () => {
  it('reads the records of a boot', () => {
    const { events } = parseEventLog(agileLog([startupLocality(3), ...ovmfBoot()]))
    expect(events.map((event) => payloadText(unverifiedPayload(event)))).toEqual([
      'Spec ID Event03',
      'locality 3: PCR 0 begins with it',
      '2026.08+ds-2',
      '851968 bytes at 0x830000',
      'SecureBoot (0 bytes, 8be4df61-93ca-11d2-aa0d-00e098032b8c)',
      'PK (0 bytes, 8be4df61-93ca-11d2-aa0d-00e098032b8c)',
      'KEK (0 bytes, 8be4df61-93ca-11d2-aa0d-00e098032b8c)',
      'db (0 bytes, d719b2cb-3d3a-4596-a3bc-dad00e67656f)',
      'dbx (0 bytes, d719b2cb-3d3a-4596-a3bc-dad00e67656f)',
      'separator',
      'ACPI DATA',
      'BootOrder (4 bytes, 8be4df61-93ca-11d2-aa0d-00e098032b8c)',
      'Calling EFI Application from Boot Option',
      ...Array.from({ length: 7 }, () => 'separator'),
      'loader.conf (tag f5bc582a)',
      ...['.linux', '.linux', '.initrd', '.initrd'],
      'Exit Boot Services Invocation',
      'Exit Boot Services Returned with Success',
    ])
  })

  it('reads blobs and tables with a description', () => {
    const description = Buffer.concat([Buffer.of(6), ascii('Fv(X)\0')])
    const blob = Buffer.concat([description, u64(0x830000), u64(4096)])
    expect(said(0x8000000a, blob)).toBe('Fv(X), 4096 bytes at 0x830000')
    const tables = Buffer.concat([description, u64(1), parseGuid(GUID), u64(0x1000)])
    expect(said(0x8000000b, tables)).toBe(`Fv(X), tables ${GUID}`)
    expect(said(0x8000000a, blob.subarray(0, 10))).toBe('10 bytes')
    expect(said(0x8000000a, Buffer.concat([Buffer.of(0), u64(1), u64(2)]))).toBe('2 bytes at 0x1')
  })

  it('reads an EV_EFI_GPT_EVENT2 as the table that it is', () => {
    const data = Buffer.alloc(100)
    data.set(parseGuid(GUID), 56)
    expect(said(0x8000000d, data)).toBe(`disk ${GUID}, partitions `)
  })

  it('gives bytes for what is not what its type promises, and never fails', () => {
    const types = [0x3, 0x4, 0x6, 0x80000001, 0x80000003, 0x80000006, 0x80000008, 0x80000009, 0x8000000a, 0x8000000b]
    const random = seededRandom(1)
    const seeds = [variable(GUID, 'db', ascii('x')), u16z('text'), Buffer.alloc(100)]
    for (const type of types) {
      for (let round = 0; round < 300; round++) {
        const data = Buffer.from(seeds[round % seeds.length] ?? [])
        for (let flips = 0; flips < 3; flips++) data[Math.floor(random() * data.length)] = Math.floor(random() * 256)
        expect(said(type, data.subarray(0, Math.floor(random() * (data.length + 1))))).toEqual(expect.any(String))
      }
    }
    expect(unverifiedPayload({ untrustedType: 0x80000001, unverifiedData: Buffer.of(1, 2) })).toEqual({
      kind: 'bytes',
      bytes: Buffer.of(1, 2),
    })
  })
})
