import { payloadText, unverifiedPayload } from '../event-payload.ts'
import { eventTypeName } from '../event-types.ts'
import type { HashAlgorithm } from '../hash-algorithms.ts'
import { type ActualEvent, measuredBytes, recordName, unverifiedText } from './actual-events.ts'
import type { FindingStatus } from './compare-events.ts'
import { type Content, contentDifference, printableText } from './content-difference.ts'
import type { PredictedEvent } from './event.ts'
import { actualSubject, predictedSubject } from './event-subject.ts'
import { quoted } from './quoted.ts'

/** Where an event that is missing in one place was found. */
export interface Displacement {
  readonly what: string
  readonly from: number
  readonly to: number
  /** In the same PCR: behind its place, not before it. */
  readonly isLater: boolean
}

/** One bank's digests, in lower-case hexadecimal. */
export interface DigestPair {
  readonly bank: HashAlgorithm
  readonly expected: string | undefined
  readonly found: string | undefined
}

export interface FindingFacts {
  readonly status: FindingStatus
  readonly predicted?: PredictedEvent
  readonly actual?: ActualEvent
  /** Strongest bank first. */
  readonly digests: readonly DigestPair[]
  readonly displacement: Displacement | undefined
}

const SHOWN_DIGITS = 16
const SHOWN_TEXT = 400

/** Why a finding is what it is, in words. */
export function findingCause({ status, predicted, actual, digests, displacement }: FindingFacts): string {
  const [strongest] = digests
  if (predicted === undefined) {
    if (actual === undefined) return ''
    const where = displacement === undefined ? 'measured, but not predicted' : displaced(displacement, 'here')
    return `${said(recordName(actual))}: ${where}${digestWords('; ', strongest?.bank, strongest?.found)}`
  }
  const { what } = predicted
  if (status === 'missing') {
    const where = displacement === undefined ? 'predicted, but not measured' : displaced(displacement, 'there')
    return `${what}: ${where}${digestWords('; expected ', strongest?.bank, strongest?.expected)}`
  }
  if (status === 'unknown') return unknownCause(predicted, actual, digests)
  if (actual === undefined) return ''
  return status === 'equal' ? recordRemark(predicted, actual) : differenceCause(predicted, actual, digests)
}

function unknownCause(
  { what, measured }: PredictedEvent,
  actual: ActualEvent | undefined,
  digests: readonly DigestPair[],
): string {
  if (actual === undefined && measured.kind === 'unknown') return `${what}: nothing was measured (${measured.why})`
  const found = digestWords('; found ', digests[0]?.bank, digests[0]?.found)
  if (measured.kind === 'unknown') return `${what}: cannot be known before the boot: ${measured.why}${found}`
  const open = digests.filter(({ expected }) => expected === undefined).map(({ bank }) => bank)
  return `${what}: no ${open.join(', ')} digest of it is known${found}`
}

function differenceCause(predicted: PredictedEvent, actual: ActualEvent, digests: readonly DigestPair[]): string {
  const differing = digests.filter(({ expected, found }) => expected !== undefined && expected !== found)
  const told = differing[0] ?? digests[0]
  const origin = predicted.isCalibrated === true ? ' (from the calibration)' : ''
  const sentences = [
    contentWords(predicted, actual),
    told?.found === undefined
      ? `expected ${told?.bank} ${shown(told?.expected)}${origin}, but the record has no ${told?.bank} digest`
      : `expected ${told.bank} ${shown(told.expected)}${origin}, found ${shown(told.found)}`,
  ]
  const agreeing = digests.filter(({ expected, found }) => expected !== undefined && expected === found)
  if (agreeing.length > 0) {
    const banks = agreeing.map(({ bank }) => bank).join(', ')
    sentences.push(`${banks} as predicted: the banks were not extended by the same bytes`)
  }
  return `${predicted.what}: ${sentences.filter((sentence) => sentence !== '').join('; ')}`
}

/** From what to what, where the bytes of both are at hand; else what the record says of itself. */
function contentWords(predicted: PredictedEvent, actual: ActualEvent): string {
  const bytes = measuredBytes(actual)
  if (bytes !== undefined && predicted.measured.kind === 'bytes') {
    const before = contentOf(predicted.type, predicted.measured.bytes, predicted.data)
    const after = contentOf(actual.type, bytes, actual.type === 'word' ? undefined : actual.record.unverifiedData)
    return said(contentDifference(before, after), 2 * SHOWN_TEXT)
  }
  const content =
    predicted.measured.kind === 'bytes' ? expectedWords(predicted.what, predicted.measured.bytes) : DIFFERS
  const text = unverifiedText(actual)
  const subject = predictedSubject(predicted)
  const isSaid =
    text === '' ||
    predicted.what.includes(text) ||
    // The name of a file, which the record has with the whole path of its device.
    (subject?.startsWith('image:') === true && subject === actualSubject(actual)) ||
    (predicted.data !== undefined && predicted.type !== 'word' && dataText(predicted.type, predicted.data) === text)
  return isSaid ? content : `${content}, its record says ${said(quoted(text))}`
}

const DIFFERS = 'its content differs'
/** Of type 11 they may be secrets. */
const SMBIOS_IDENTITY = /^smbios:type[12]$/

/** What was to be there, where it can be read. */
function expectedWords(what: string, bytes: Uint8Array): string {
  if (SMBIOS_IDENTITY.test(what)) {
    const strings = Buffer.from(bytes.subarray(bytes[1])).toString('latin1').split('\0').filter(Boolean)
    return `its strings are not ${said(strings.map(quoted).join(', '))}`
  }
  const text = printableText(bytes)
  return text === undefined ? DIFFERS : `its content is not ${said(text)}`
}

function contentOf(type: number | 'word', bytes: Uint8Array, data: Uint8Array | undefined): Content {
  if (type === 'word') return { bytes, payload: { kind: 'text', text: Buffer.from(bytes).toString() } }
  return { bytes, payload: unverifiedPayload({ untrustedType: type, unverifiedData: data ?? bytes }) }
}

/** The digest is the predicted one, so nothing is wrong with the machine; but its log may still call it something else. */
function recordRemark(predicted: PredictedEvent, actual: ActualEvent): string {
  if (actual.type !== predicted.type) {
    return `${predicted.what}: measured as predicted, but recorded as ${typeName(actual.type)}, not ${typeName(predicted.type)}`
  }
  if (actual.type === 'word' || predicted.type === 'word' || predicted.data === undefined) return ''
  if (Buffer.compare(predicted.data, actual.record.unverifiedData) === 0) return ''
  const [expected, found] = [dataText(predicted.type, predicted.data), unverifiedText(actual)]
  const words = expected === found ? 'with other data' : `as ${quoted(found)}, not ${quoted(expected)}`
  return `${predicted.what}: measured as predicted, but recorded ${said(words, 2 * SHOWN_TEXT)}`
}

function displaced({ what, from, to, isLater }: Displacement, place: 'here' | 'there'): string {
  if (from !== to) return place === 'here' ? `${what} belongs into PCR ${from}` : `measured into PCR ${to} instead`
  if (place === 'there') return `measured out of order, ${isLater ? 'later' : 'earlier'} than predicted`
  return `${what}, out of order, ${isLater ? 'later' : 'earlier'} than predicted`
}

function typeName(type: number | 'word'): string {
  return type === 'word' ? 'word' : eventTypeName(type)
}

function dataText(type: number, data: Uint8Array): string {
  return payloadText(unverifiedPayload({ untrustedType: type, unverifiedData: data }))
}

function digestWords(before: string, bank: HashAlgorithm | undefined, digest: string | undefined): string {
  return bank === undefined || digest === undefined ? '' : `${before}${bank} ${shown(digest)}`
}

function shown(digest: string | undefined): string {
  return digest === undefined ? 'nothing' : `${digest.slice(0, SHOWN_DIGITS)}…`
}

/** Records of hostile logs may be of any length. */
function said(text: string, limit = SHOWN_TEXT): string {
  return text.length <= limit ? text : `${text.slice(0, limit)}…`
}
