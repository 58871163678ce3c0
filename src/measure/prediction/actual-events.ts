import { areDigestsOf, unverifiedTaggedEvent } from '../event-data.ts'
import type { TcgEvent, TcgEventLog } from '../event-log.ts'
import { payloadText, unverifiedPayload } from '../event-payload.ts'
import { EV_EFI_VARIABLE_AUTHORITY, EV_IPL, eventTypeName } from '../event-types.ts'
import { HASH_ALGORITHMS, type HashAlgorithm } from '../hash-algorithms.ts'
import { extendsOf, type PcrExtend } from '../replay.ts'
import type { UserspaceLog, UserspaceRecord } from '../userspace-log.ts'
import type { Measured, PredictedEvent } from './event.ts'
import { quoted } from './quoted.ts'

/** What was measured, by the record that tells of it: one of the firmware's log, or one of systemd's. */
export type ActualEvent = PcrExtend &
  ({ readonly type: number; readonly record: TcgEvent } | { readonly type: 'word'; readonly record: UserspaceRecord })

/**
 * All that was measured into PCRs: the firmware's log, then systemd's. The order in each PCR is that of the TPM; between
 * PCRs it means nothing. Records of NvPCRs are no part of it.
 */
export function actualEvents(log: TcgEventLog, userspaceLog?: UserspaceLog): ActualEvent[] {
  const words = (userspaceLog?.records ?? []).flatMap((record): ActualEvent[] => {
    const { target, digests } = record
    return target.kind === 'pcr' ? [{ pcr: target.pcr, type: 'word', digests, record }] : []
  })
  const logged = extendsOf(log).map((record): ActualEvent => {
    return { pcr: record.pcr, type: record.untrustedType, digests: record.digests, record }
  })
  return [...logged, ...words]
}

/** What a record says in one line. Nothing but `measuredBytes()` proves it. */
export function unverifiedText(event: ActualEvent): string {
  if (event.type === 'word') return event.record.unverified.string ?? event.record.unverified.eventType ?? ''
  return payloadText(unverifiedPayload(event.record))
}

/** Type and text of a record: `EV_IPL ".linux"`. */
export function recordName(event: ActualEvent): string {
  const text = unverifiedText(event)
  const type = event.type === 'word' ? 'word' : eventTypeName(event.type)
  return text === '' ? type : `${type} ${quoted(text)}`
}

/** The bytes that were hashed, where the record has them: every digest is that of these bytes. */
export function measuredBytes(event: ActualEvent): Uint8Array | undefined {
  for (const bytes of candidates(event)) {
    if (areDigestsOf(event.digests, bytes)) return bytes
  }
  return undefined
}

/** One after the other: the first one is mostly right. */
function* candidates(event: ActualEvent): Generator<Uint8Array> {
  if (event.type === 'word') {
    const { string } = event.record.unverified
    if (string === undefined) return
    yield Buffer.from(string)
    yield unescaped(string)
    return
  }
  const { unverifiedData: bytes } = event.record
  yield bytes
  const payload = unverifiedPayload(event.record)
  if (payload.kind === 'variable') yield payload.value
  // Some shims log one byte more than they hash.
  if (event.type === EV_EFI_VARIABLE_AUTHORITY) yield bytes.subarray(0, -1)
  const tagged = unverifiedTaggedEvent(event.record)
  if (tagged !== undefined) yield tagged.bytes
  // Names of sections are logged in UTF-16 and hashed in ASCII with a NUL.
  if (event.type === EV_IPL && payload.kind === 'text') yield Buffer.from(`${payload.text}\0`)
}

const ESCAPES: ReadonlyMap<string, string> = new Map(
  Object.entries({ a: '\x07', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v' }),
)

/** The other way round of systemd's C escapes (systemd, src/basic/escape.c). */
function unescaped(text: string): Uint8Array {
  const bytes = Buffer.from(text)
    .toString('latin1')
    .replaceAll(/\\(?:([0-3][0-7]{2})|x([0-9a-fA-F]{2})|(.))/g, (_, octal, hex, letter) => {
      if (octal !== undefined) return String.fromCharCode(Number.parseInt(octal, 8))
      if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16))
      return ESCAPES.get(letter) ?? letter
    })
  return Buffer.from(bytes, 'latin1')
}

/** Payloads that say where something lay in memory, which differs from boot to boot. */
const ADDRESSES: ReadonlySet<string> = new Set(['image', 'blob', 'tables'])

/**
 * A log as a prediction, to compare another one with: bytes where the record has them, digests everywhere else, and for a
 * broken record that has none for some bank. The banks are by default those that any record has.
 */
export function eventsAsPredicted(
  actual: readonly ActualEvent[],
  banks: readonly HashAlgorithm[] = HASH_ALGORITHMS.filter((bank) => actual.some(({ digests }) => digests.has(bank))),
): PredictedEvent[] {
  return actual.map((event): PredictedEvent => {
    const bytes = banks.every((bank) => event.digests.has(bank)) ? measuredBytes(event) : undefined
    const digests = new Map([...event.digests].map(([bank, digest]) => [bank, Buffer.from(digest).toString('hex')]))
    const measured: Measured = bytes === undefined ? { kind: 'digests', digests } : { kind: 'bytes', bytes }
    const facts = {
      pcr: event.pcr,
      type: event.type,
      by: event.type === 'word' ? 'system' : 'firmware',
      what: subjectOfRecord(event, bytes),
      measured,
    } as const
    if (event.type === 'word' || ADDRESSES.has(unverifiedPayload(event.record).kind)) return facts
    return { ...facts, data: event.record.unverifiedData }
  })
}

/** In the words that predictions use, as far as a record tells. */
function subjectOfRecord(event: ActualEvent, bytes: Uint8Array | undefined): string {
  if (event.type === 'word') return unverifiedText(event)
  const payload = unverifiedPayload(event.record)
  switch (payload.kind) {
    case 'variable':
      return `variable ${payload.name}`
    case 'image':
      return payload.path === '' ? 'image' : `image ${payload.path.slice(payload.path.lastIndexOf('/\\') + 1)}`
    case 'gpt':
      return `partition table ${payload.diskGuid}`
    case 'separator':
      return `separator of PCR ${event.pcr}`
    case 'tagged':
      return payload.text ?? recordName(event)
    case 'text': {
      const isSection = event.type === EV_IPL && /^\.[a-z]+$/.test(payload.text)
      if (!isSection) return recordName(event)
      // Both records of a section say its name; the first one is of nothing else.
      return bytes === undefined ? `section ${payload.text}` : `name of section ${payload.text}`
    }
    default:
      return recordName(event)
  }
}
