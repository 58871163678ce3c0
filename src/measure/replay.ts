import type { TcgEvent, TcgEventLog } from './event-log.ts'
import { EV_NO_ACTION } from './event-types.ts'
import { type Digests, type HashAlgorithm, hashOf } from './hash-algorithms.ts'
import { PCR_COUNT, type PcrBanks } from './pcr-values.ts'

/** Anything that extends a PCR: a record of the firmware or the userspace log, or a predicted one. */
export interface PcrExtend<Bank extends string = HashAlgorithm> {
  readonly pcr: number
  readonly digests: Digests<Bank>
}

/** A value that cannot be computed, because a record has no digest for the bank. */
export interface ReplayGap {
  readonly bank: HashAlgorithm
  readonly pcr: number
  /** Position among the records that were given. */
  readonly recordIndex: number
}

export interface ReplayResult {
  /** All 24 PCRs of each bank, but for those in `gaps`. */
  readonly values: PcrBanks
  /** The first gap of each bank and PCR. */
  readonly gaps: readonly ReplayGap[]
}

export interface ReplayOptions {
  /** PCR 0 starts with this number (TPM 2.0 Startup locality); 0 without it. */
  readonly startupLocality?: number
}

/** The value of a PCR before anything is extended: 17 to 22 are all ones until a dynamic launch, the rest zeros. */
export function initialPcrValue(bank: string, pcr: number, startupLocality = 0): Uint8Array {
  const value = new Uint8Array((BOTH[bank]?.byteLength ?? 2 * hashOf(bank, new Uint8Array()).byteLength) / 2)
  if (pcr >= 17 && pcr <= 22) value.fill(0xff)
  if (pcr === 0) value[value.byteLength - 1] = startupLocality
  return value
}

/** Where a value and a digest are put together: filled and read in one go, so that one for each bank is enough. */
const BOTH: Readonly<Record<HashAlgorithm, Uint8Array>> & Readonly<Record<string, Uint8Array | undefined>> = {
  sha1: new Uint8Array(40),
  sha256: new Uint8Array(64),
  sha384: new Uint8Array(96),
  sha512: new Uint8Array(128),
}

/** `H(value ‖ digest)`, the only way in which a PCR changes. */
export function extendPcr(bank: string, value: Uint8Array, digest: Uint8Array): Uint8Array {
  const both = BOTH[bank]
  if (value.byteLength + digest.byteLength !== both?.byteLength) {
    return hashOf(bank, Buffer.concat([value, digest]))
  }
  both.set(value, 0)
  both.set(digest, value.byteLength)
  return hashOf(bank, both)
}

/** Extends PCRs from their initial values. Records of PCRs above 23 extend nothing. */
export function replay(
  records: Iterable<PcrExtend>,
  banks: readonly HashAlgorithm[],
  options: ReplayOptions = {},
): ReplayResult {
  const state = new Map(
    banks.map((bank) => [
      bank,
      Array.from({ length: PCR_COUNT }, (_, pcr): Uint8Array | undefined =>
        initialPcrValue(bank, pcr, options.startupLocality),
      ),
    ]),
  )
  const gaps: ReplayGap[] = []
  let recordIndex = -1
  for (const { pcr, digests } of records) {
    recordIndex++
    for (const [bank, values] of state) {
      const value = values[pcr]
      if (value === undefined) continue
      const digest = digests.get(bank)
      if (digest === undefined) gaps.push({ bank, pcr, recordIndex })
      values[pcr] = digest === undefined ? undefined : extendPcr(bank, value, digest)
    }
  }
  return { values: new Map([...state].map(([bank, values]) => [bank, toText(values)])), gaps }
}

/**
 * The PCR values that a firmware event log claims, followed by other records if there are any (the userspace log).
 *
 * Only the digests count. Whether the claim is true is for the TPM to say: see `explainPcrs()`.
 */
export function replayEventLog(log: TcgEventLog, more: Iterable<PcrExtend> = []): ReplayResult {
  return replay([...extendsOf(log), ...more], log.banks, { startupLocality: log.startupLocality })
}

/** The records of a log that were extended: all but those of type EV_NO_ACTION. */
export function extendsOf(log: TcgEventLog): TcgEvent[] {
  return log.events.filter((event) => event.untrustedType !== EV_NO_ACTION)
}

function toText(values: readonly (Uint8Array | undefined)[]): ReadonlyMap<number, string> {
  const text = new Map<number, string>()
  for (const [pcr, value] of values.entries()) {
    if (value !== undefined) text.set(pcr, Buffer.from(value).toString('hex'))
  }
  return text
}
