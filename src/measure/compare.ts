import type { TcgEventLog } from './event-log.ts'
import { digestsOf, type HashAlgorithm } from './hash-algorithms.ts'
import type { PcrBanks } from './pcr-values.ts'
import { extendPcr, extendsOf, initialPcrValue, type PcrExtend, replayEventLog } from './replay.ts'

/** One PCR of one bank: what was expected, and what was found. */
export interface PcrComparison {
  readonly bank: HashAlgorithm
  readonly pcr: number
  readonly status: 'equal' | 'different' | 'not-read'
  readonly expected: string
  /** Undefined when the actual values have no such bank or PCR. */
  readonly found: string | undefined
}

/** Compares every expected value with the actual one, in the order of the expected ones. Further actual ones are ignored. */
export function comparePcrs(expected: PcrBanks, actual: PcrBanks): PcrComparison[] {
  return [...expected].flatMap(([bank, values]) =>
    [...values].map(([pcr, value]): PcrComparison => {
      const found = actual.get(bank)?.get(pcr)
      const status = found === undefined ? 'not-read' : found === value ? 'equal' : 'different'
      return { bank, pcr, status, expected: value, found }
    }),
  )
}

/** Why a value may differ from the replay of the logs. A hint for the reader, never a reason to accept it. */
export type PcrExplanation =
  /** The value is right after the first `records` of `of` records of this PCR: read too early, or a record was not extended. */
  | { readonly kind: 'earlier-value'; readonly records: number; readonly of: number }
  /** With these ExitBootServices actions, which firmware at times extends but does not log, the value is right. */
  | { readonly kind: 'lost-exit-boot-services'; readonly actions: readonly string[] }
  /** With the word by which systemd closes the firmware's PCRs the value is right: its log was not given. */
  | { readonly kind: 'os-separator' }
  /** The log has no digests for this bank, or a record of this PCR has none. */
  | { readonly kind: 'no-digests' }
  | { readonly kind: 'unknown' }

/** A PCR whose actual value the logs do not lead to. */
export interface UnexplainedPcr {
  readonly bank: HashAlgorithm
  readonly pcr: number
  /** What the logs lead to; undefined where they have no digests for it. */
  readonly replayed: string | undefined
  readonly found: string
  readonly explanation: PcrExplanation
}

const OS_SEPARATOR = 'os-separator'
const EXIT_BOOT_SERVICES_PCR = 5
const INVOCATION = 'Exit Boot Services Invocation'
const EXIT_BOOT_SERVICES_VARIANTS: readonly (readonly string[])[] = [
  [INVOCATION, 'Exit Boot Services Returned with Success'],
  [INVOCATION, 'Exit Boot Services Returned with Failure', INVOCATION, 'Exit Boot Services Returned with Success'],
]

/**
 * The actual PCR values that a firmware log, followed by the userspace log's records, does not lead to.
 *
 * An empty list means that every value in `actual` is explained. IMA extends PCR 10 and has a log of its own, so PCR 10
 * is unexplained here on a kernel with IMA: leave it out of `actual` or add its record to `more`.
 */
export function explainPcrs(log: TcgEventLog, actual: PcrBanks, more: readonly PcrExtend[] = []): UnexplainedPcr[] {
  const replayed = replayEventLog(log, more).values
  const unexplained: UnexplainedPcr[] = []
  for (const [bank, values] of actual) {
    for (const [pcr, found] of values) {
      const value = replayed.get(bank)?.get(pcr)
      if (value === found) continue
      const explanation: PcrExplanation =
        value === undefined ? { kind: 'no-digests' } : findExplanation(log, more, bank, pcr, found)
      unexplained.push({ bank, pcr, replayed: value, found, explanation })
    }
  }
  return unexplained
}

function findExplanation(
  log: TcgEventLog,
  more: readonly PcrExtend[],
  bank: HashAlgorithm,
  pcr: number,
  found: string,
): PcrExplanation {
  const ofPcr = (record: PcrExtend): boolean => record.pcr === pcr
  const firmware = digestsIn(bank, extendsOf(log).filter(ofPcr))
  const userspace = digestsIn(bank, more.filter(ofPcr))
  const start = initialPcrValue(bank, pcr, log.startupLocality)

  const all = [...firmware, ...userspace]
  let value = start
  for (const [records, digest] of all.entries()) {
    if (isHex(value, found)) return { kind: 'earlier-value', records, of: all.length }
    value = extendPcr(bank, value, digest)
  }
  const [separator] = digestsOf([bank], Buffer.from(OS_SEPARATOR)).values()
  if (more.length === 0 && separator !== undefined && isHex(extendPcr(bank, value, separator), found)) {
    return { kind: OS_SEPARATOR }
  }
  if (pcr !== EXIT_BOOT_SERVICES_PCR) return { kind: 'unknown' }
  for (const actions of EXIT_BOOT_SERVICES_VARIANTS) {
    const lost = actions.map((action) => ({ pcr, digests: digestsOf([bank], Buffer.from(action)) }))
    const digests = [...firmware, ...digestsIn(bank, lost), ...userspace]
    if (
      isHex(
        digests.reduce((before, digest) => extendPcr(bank, before, digest), start),
        found,
      )
    ) {
      return { kind: 'lost-exit-boot-services', actions }
    }
  }
  return { kind: 'unknown' }
}

function digestsIn(bank: HashAlgorithm, records: readonly PcrExtend[]): Uint8Array[] {
  return records.map(({ digests }) => digests.get(bank)).filter((digest) => digest !== undefined)
}

function isHex(value: Uint8Array, hex: string): boolean {
  return Buffer.from(value).toString('hex') === hex
}
