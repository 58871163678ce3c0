import { ByteReader } from '../formats/index.ts'
import { EV_NO_ACTION } from './event-types.ts'
import { type Digests, type HashAlgorithm, hashAlgorithmFacts, hashAlgorithmOfTpmId } from './hash-algorithms.ts'

/** One record of a firmware event log: TCG_PCR_EVENT or TCG_PCR_EVENT2 (TCG PC Client Platform Firmware Profile, 10.2). */
export interface TcgEvent {
  /** Position in the log, from 0. */
  readonly index: number
  /** Byte offset in the log. */
  readonly offset: number
  /** As logged. 0xffffffff occurs in EV_NO_ACTION records. */
  readonly pcr: number
  /** Not covered by any digest: never decide anything on the type alone. */
  readonly untrustedType: number
  /** What was extended, if the PCR proves it: see `replayEventLog()`. */
  readonly digests: Digests
  /** Digests of algorithms that are not handled here, by TPM_ALG_ID. */
  readonly otherDigests: ReadonlyMap<number, Uint8Array>
  /** Bytes as logged. Compare them with a digest before believing them: see `checkEventData()`. */
  readonly unverifiedData: Uint8Array
}

/** The "Spec ID Event03" that opens a crypto-agile log. */
export interface SpecId {
  /** 0 client, 1 server. */
  readonly platformClass: number
  readonly specVersion: { readonly major: number; readonly minor: number; readonly errata: number }
  /** Width of UINTN: 4 or 8 bytes. */
  readonly uintnBytes: number
  /** Digest sizes in bytes by TPM_ALG_ID, in log order. */
  readonly digestSizes: ReadonlyMap<number, number>
  readonly vendorInfo: Uint8Array
}

export interface TcgEventLog {
  /** `sha1`: TCG 1.2 records throughout. */
  readonly format: 'crypto-agile' | 'sha1'
  /** The banks handled here that the log has digests for. */
  readonly banks: readonly HashAlgorithm[]
  readonly specId: SpecId | undefined
  readonly events: readonly TcgEvent[]
  /** Locality that started the TPM, from the StartupLocality record; 0 without one. */
  readonly startupLocality: number
  /** What follows the last record up to the end of the region. */
  readonly padding: { readonly offset: number; readonly size: number } | undefined
  /** Departures from the specification that real firmware is known for, as sentences. */
  readonly irregularities: readonly string[]
}

const WHAT = 'TCG event log'
const NO_DIGESTS: TcgEvent['otherDigests'] = new Map()
const SPEC_ID_03 = 'Spec ID Event03\0'
const STARTUP_LOCALITY = 'StartupLocality\0'
/** pcrIndex, eventType, digest and eventSize of TCG_PCR_EVENT. */
const SHA1_HEADER_BYTES = 32
/** pcrIndex, eventType and digestCount of TCG_PCR_EVENT2. */
const AGILE_HEADER_BYTES = 12
/** pcrIndex and eventType. */
const ONES_HEADER_BYTES = 8

/**
 * Reads a firmware event log (`/sys/kernel/security/tpm0/binary_bios_measurements`), crypto-agile or SHA-1-only.
 *
 * Nothing is copied. A record that is cut, contradicts the Spec ID record or repeats an algorithm is `MALFORMED_INPUT`;
 * no bytes at all are too, since firmware that measures writes at least one record.
 */
export function parseEventLog(bytes: Uint8Array): TcgEventLog {
  // Of a Buffer each part would be one, too, which takes several times as long to make.
  const reader = new ByteReader(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength), WHAT)
  const irregularities: string[] = []
  const events: TcgEvent[] = []
  if (isPadding(reader, SHA1_HEADER_BYTES)) throw reader.malformed('first record', 'expected a record, found padding')
  const first = readSha1Event(reader, 0)
  events.push(first)
  const specId = readSpecId(first, reader, irregularities)
  let padding: TcgEventLog['padding']
  while (reader.remaining > 0) {
    if (isPadding(reader, specId === undefined ? SHA1_HEADER_BYTES : AGILE_HEADER_BYTES)) {
      padding = { offset: reader.offset, size: reader.remaining }
      const rest = reader.rest()
      const other = rest.findIndex((byte) => byte !== rest[0])
      if (other !== -1) irregularities.push(`the padding at offset ${reader.offset} ends at ${reader.offset + other}`)
      break
    }
    events.push(
      specId === undefined
        ? readSha1Event(reader, events.length)
        : readAgileEvent(reader, events.length, specId.digestSizes),
    )
  }
  return {
    format: specId === undefined ? 'sha1' : 'crypto-agile',
    banks: specId === undefined ? ['sha1'] : handledBanks(specId),
    specId,
    events,
    startupLocality: findStartupLocality(events, irregularities),
    padding,
    irregularities,
  }
}

function readSha1Event(reader: ByteReader, index: number): TcgEvent {
  const offset = reader.offset
  const pcr = reader.u32('pcrIndex')
  const untrustedType = reader.u32('eventType')
  const digest = reader.bytes(20, 'digest')
  const unverifiedData = reader.bytes(reader.u32('eventSize'), 'event')
  return {
    index,
    offset,
    pcr,
    untrustedType,
    digests: new Map([['sha1', digest]]),
    otherDigests: NO_DIGESTS,
    unverifiedData,
  }
}

function readAgileEvent(reader: ByteReader, index: number, sizes: ReadonlyMap<number, number>): TcgEvent {
  const offset = reader.offset
  const pcr = reader.u32('pcrIndex')
  const untrustedType = reader.u32('eventType')
  const count = reader.u32('digestCount')
  if (count > sizes.size) {
    throw reader.malformed(
      'digestCount',
      `the Spec ID record names ${sizes.size} algorithms, found ${count} digests`,
      4,
    )
  }
  const digests = new Map<HashAlgorithm, Uint8Array>()
  let otherDigests: Map<number, Uint8Array> | undefined
  for (let left = count; left > 0; left--) {
    const tpmId = reader.u16('algorithmId')
    const size = sizes.get(tpmId)
    if (size === undefined) {
      throw reader.malformed('algorithmId', `${hex16(tpmId)} is not in the Spec ID record`, 2)
    }
    const algorithm = hashAlgorithmOfTpmId(tpmId)
    if (otherDigests?.has(tpmId) || (algorithm !== undefined && digests.has(algorithm))) {
      throw reader.malformed('algorithmId', `${hex16(tpmId)} occurs twice in one record`, 2)
    }
    const digest = reader.bytes(size, 'digest')
    if (algorithm !== undefined) {
      digests.set(algorithm, digest)
    } else {
      otherDigests ??= new Map()
      otherDigests.set(tpmId, digest)
    }
  }
  const unverifiedData = reader.bytes(reader.u32('eventSize'), 'event')
  return { index, offset, pcr, untrustedType, digests, otherDigests: otherDigests ?? NO_DIGESTS, unverifiedData }
}

/** The Spec ID of a crypto-agile log; undefined if the first record is none, so that the log is SHA-1-only. */
function readSpecId(first: TcgEvent, log: ByteReader, irregularities: string[]): SpecId | undefined {
  if (first.untrustedType !== EV_NO_ACTION || !startsWith(first.unverifiedData, SPEC_ID_03)) return undefined
  const eventOffset = log.offset - first.unverifiedData.byteLength
  const reader = new ByteReader(first.unverifiedData, `${WHAT}, Spec ID Event03`, eventOffset)
  reader.bytes(SPEC_ID_03.length, 'signature')
  const platformClass = reader.u32('platformClass')
  const minor = reader.u8('specVersionMinor')
  const major = reader.u8('specVersionMajor')
  const errata = reader.u8('specErrata')
  const uintnSize = reader.u8('uintnSize')
  if (uintnSize !== 1 && uintnSize !== 2) irregularities.push(`uintnSize should be 1 or 2, found ${uintnSize}`)
  const digestSizes = readDigestSizes(reader)
  const vendorInfoSize = reader.u8('vendorInfoSize')
  // Some firmware leaves the vendor information out of eventSize: then the rest of it follows the record.
  const missing = vendorInfoSize - reader.remaining
  let vendorInfo: Uint8Array
  if (missing > 0) {
    const inside = reader.bytes(reader.remaining, 'vendorInfo')
    vendorInfo = Buffer.concat([inside, log.bytes(missing, 'vendorInfo')])
    irregularities.push(`eventSize of the Spec ID record leaves out ${missing} bytes of vendor information`)
  } else {
    vendorInfo = reader.bytes(vendorInfoSize, 'vendorInfo')
  }
  if (reader.remaining > 0) irregularities.push(`${reader.remaining} bytes follow the end of the Spec ID structure`)
  return {
    platformClass,
    specVersion: { major, minor, errata },
    uintnBytes: uintnSize === 1 ? 4 : 8,
    digestSizes,
    vendorInfo,
  }
}

function readDigestSizes(reader: ByteReader): ReadonlyMap<number, number> {
  const count = reader.u32('numberOfAlgorithms')
  if (count === 0 || count * 4 > reader.remaining) {
    throw reader.malformed(
      'numberOfAlgorithms',
      `expected 1 to ${Math.floor(reader.remaining / 4)} for the ${reader.remaining} bytes left, found ${count}`,
      4,
    )
  }
  const sizes = new Map<number, number>()
  for (let left = count; left > 0; left--) {
    const tpmId = reader.u16('algorithmId')
    const size = reader.u16('digestSize')
    const algorithm = hashAlgorithmOfTpmId(tpmId)
    const expected = algorithm === undefined ? size : hashAlgorithmFacts(algorithm).digestBytes
    if (size !== expected || size === 0) {
      throw reader.malformed(
        'digestSize',
        `${hex16(tpmId)} has digests of ${expected || 'some'} bytes, found ${size}`,
        2,
      )
    }
    if (sizes.has(tpmId)) throw reader.malformed('algorithmId', `${hex16(tpmId)} occurs twice`, 4)
    sizes.set(tpmId, size)
  }
  return sizes
}

/**
 * Whether no record begins here: a header of zeros, or a PCR and type of ones as in an ACPI CCEL region. Looks at the
 * header alone, so that a log of many tiny records costs no more than its length.
 */
function isPadding(reader: ByteReader, headerBytes: number): boolean {
  const rest = reader.rest()
  const fill = rest[0]
  if (fill !== 0 && fill !== 0xff) return false
  return rest.subarray(0, fill === 0 ? headerBytes : ONES_HEADER_BYTES).every((byte) => byte === fill)
}

function findStartupLocality(events: readonly TcgEvent[], irregularities: string[]): number {
  const found = events.filter(
    (event) =>
      event.pcr === 0 &&
      event.untrustedType === EV_NO_ACTION &&
      event.unverifiedData.byteLength === STARTUP_LOCALITY.length + 1 &&
      startsWith(event.unverifiedData, STARTUP_LOCALITY),
  )
  if (found.length > 1) irregularities.push(`${found.length} StartupLocality records; the first one is used`)
  return found[0]?.unverifiedData[STARTUP_LOCALITY.length] ?? 0
}

function handledBanks(specId: SpecId): HashAlgorithm[] {
  return [...specId.digestSizes.keys()].map(hashAlgorithmOfTpmId).filter((name) => name !== undefined)
}

function startsWith(bytes: Uint8Array, text: string): boolean {
  return Buffer.from(bytes.subarray(0, text.length)).toString('latin1') === text
}

function hex16(value: number): string {
  return `algorithm 0x${value.toString(16).padStart(4, '0')}`
}
