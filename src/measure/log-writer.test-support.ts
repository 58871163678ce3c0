import { expect } from 'vitest'
import { parseGuid } from '../formats/index.ts'
import { BootwrightError } from '../system/index.ts'
import { digestsOf, HASH_ALGORITHMS, type HashAlgorithm, hashAlgorithmFacts } from './index.ts'

/** A record as firmware would log it: the digests are those of `hashed`, or of the data. */
export interface LoggedEvent {
  pcr: number
  type: number
  data: Uint8Array
  hashed?: Uint8Array
  /** Algorithms that this record has digests of; all of the log without it. */
  banks?: readonly HashAlgorithm[]
}

export const ascii = (text: string): Buffer => Buffer.from(text, 'latin1')
export const u16z = (text: string): Buffer => Buffer.from(`${text}\0`, 'utf16le')
export const u16 = (value: number): Buffer => Buffer.of(value & 0xff, value >> 8)
export const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}
export const u64 = (value: number): Buffer => Buffer.concat([u32(value % 2 ** 32), u32(Math.floor(value / 2 ** 32))])

/** The first record of a crypto-agile log, 45 bytes of event for four algorithms as OVMF writes it. */
export function specIdRecord(
  algorithms: readonly (readonly [id: number, size: number])[] = HASH_ALGORITHMS.map((bank) => {
    const { tpmId, digestBytes } = hashAlgorithmFacts(bank)
    return [tpmId, digestBytes] as const
  }),
  vendorInfo: Buffer = Buffer.of(0),
): Buffer {
  const sizes = algorithms.map(([id, size]) => Buffer.concat([u16(id), u16(size)]))
  const head = [ascii('Spec ID Event03\0'), u32(0), Buffer.of(0, 2, 0, 2), u32(algorithms.length)]
  return sha1Record({ pcr: 0, type: 3, data: Buffer.concat([...head, ...sizes, vendorInfo]) })
}

/** TCG_PCR_EVENT; EV_NO_ACTION has a digest of zeros. */
export function sha1Record({ pcr, type, data, hashed = data }: LoggedEvent): Buffer {
  const digest = type === 3 ? Buffer.alloc(20) : (digestsOf(['sha1'], hashed).get('sha1') ?? Buffer.alloc(20))
  return Buffer.concat([u32(pcr), u32(type), digest, u32(data.byteLength), data])
}

/** TCG_PCR_EVENT2. */
export function agileRecord(event: LoggedEvent): Buffer {
  const { pcr, type, data, hashed = data, banks = HASH_ALGORITHMS } = event
  const digests = [...digestsOf(banks, hashed)].map(([bank, digest]) => {
    const { tpmId, digestBytes } = hashAlgorithmFacts(bank)
    return Buffer.concat([u16(tpmId), type === 3 ? Buffer.alloc(digestBytes) : digest])
  })
  return Buffer.concat([u32(pcr), u32(type), u32(banks.length), ...digests, u32(data.byteLength), data])
}

export function agileLog(events: readonly LoggedEvent[]): Buffer {
  return Buffer.concat([specIdRecord(), ...events.map(agileRecord)])
}

export const startupLocality = (locality: number): LoggedEvent => ({
  pcr: 0,
  type: 3,
  data: Buffer.concat([ascii('StartupLocality\0'), Buffer.of(locality)]),
})

export const separator = (pcr: number): LoggedEvent => ({ pcr, type: 4, data: Buffer.alloc(4) })
export const action = (pcr: number, text: string): LoggedEvent => ({ pcr, type: 0x80000007, data: ascii(text) })

/** UEFI_VARIABLE_DATA. */
export function variable(guid: string, name: string, value: Uint8Array = Buffer.alloc(0)): Buffer {
  return Buffer.concat([parseGuid(guid), u64(name.length), u64(value.byteLength), Buffer.from(name, 'utf16le'), value])
}

const GLOBAL = '8be4df61-93ca-11d2-aa0d-00e098032b8c'
const SECURITY = 'd719b2cb-3d3a-4596-a3bc-dad00e67656f'

/** A shortened boot of OVMF without Secure Boot: the same records as on real firmware, PCR for PCR, where known. */
export function ovmfBoot(): LoggedEvent[] {
  const absent = [
    [GLOBAL, 'SecureBoot'],
    [GLOBAL, 'PK'],
    [GLOBAL, 'KEK'],
    [SECURITY, 'db'],
    [SECURITY, 'dbx'],
  ] as const
  const bootOrder = Buffer.of(2, 0, 0, 0)
  return [
    { pcr: 0, type: 0x8, data: u16z('2026.08+ds-2') },
    { pcr: 0, type: 0x80000008, data: Buffer.concat([u64(0x830000), u64(0xd0000)]), hashed: ascii('PEIFV') },
    ...absent.map(([guid, name]) => ({ pcr: 7, type: 0x80000001, data: variable(guid, name) })),
    separator(7),
    { pcr: 1, type: 0xa, data: ascii('ACPI DATA'), hashed: Buffer.alloc(65536) },
    { pcr: 1, type: 0x80000002, data: variable(GLOBAL, 'BootOrder', bootOrder), hashed: bootOrder },
    action(4, 'Calling EFI Application from Boot Option'),
    ...[0, 1, 2, 3, 4, 5, 6].map(separator),
    { pcr: 5, type: 0x6, data: tagged(0xf5bc582a, u16z('loader.conf')), hashed: ascii('timeout 0\n') },
    { pcr: 11, type: 0xd, data: u16z('.linux'), hashed: ascii('.linux\0') },
    { pcr: 11, type: 0xd, data: u16z('.linux'), hashed: ascii('HALLO\n') },
    { pcr: 11, type: 0xd, data: u16z('.initrd'), hashed: ascii('.initrd\0') },
    { pcr: 11, type: 0xd, data: u16z('.initrd'), hashed: ascii('foobar\n') },
    action(5, 'Exit Boot Services Invocation'),
    action(5, 'Exit Boot Services Returned with Success'),
  ]
}

export function tagged(id: number, bytes: Uint8Array): Buffer {
  return Buffer.concat([u32(id), u32(bytes.byteLength), bytes])
}

/** One record of systemd's userspace log, four banks. */
export function userspaceRecord(pcr: number, word: string, eventType = 'phase'): string {
  const digests = [...digestsOf(HASH_ALGORITHMS, ascii(word))].map(([hashAlg, digest]) => ({
    hashAlg,
    digest: Buffer.from(digest).toString('hex'),
  }))
  const content = { string: word, bootId: '0123456789abcdef0123456789abcdef', timestamp: 2_345_678, eventType }
  return `\x1e${JSON.stringify({ pcr, digests, content_type: 'systemd', content })}\n`
}

/** Bytes that look random and are the same in every run (mulberry32). */
export function garbage(seed: number, length: number): Uint8Array {
  let state = seed
  return Uint8Array.from({ length }, () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return (mixed ^ (mixed >>> 14)) & 0xff
  })
}

/** Gives the result, or undefined if it is rejected as malformed with an offset; anything else fails the test. */
export function resultOrMalformed<T>(parse: () => T): T | undefined {
  try {
    return parse()
  } catch (error) {
    if (!(error instanceof BootwrightError)) throw error
    expect(error.code).toBe('MALFORMED_INPUT')
    expect(error.detail.offset).toEqual(expect.any(Number))
    return undefined
  }
}
