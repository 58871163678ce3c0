import { BootwrightError } from '../../system/index.ts'
import { type Digests, digestsOf, type HashAlgorithm } from '../hash-algorithms.ts'
import { PCR_COUNT } from '../pcr-values.ts'
import { extendPcr, initialPcrValue } from '../replay.ts'

/** Who measures. */
export type Measurer = 'firmware' | 'boot-loader' | 'stub' | 'kernel' | 'system'

/** What is hashed. Digests are given where the bytes are large or not at hand. */
export type Measured =
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | { readonly kind: 'digests'; readonly digests: ReadonlyMap<HashAlgorithm, string> }
  /** Depends on what cannot be known before the boot; everything after it in its PCR cannot be predicted either. */
  | { readonly kind: 'unknown'; readonly why: string }

/** One measurement that a machine must make. */
export interface PredictedEvent {
  readonly pcr: number
  /** TCG event type of the firmware's log (event-types.ts); `word` for what systemd measures from userspace. */
  readonly type: number | 'word'
  readonly by: Measurer
  /** For a person: `section .linux of EFI/Linux/cloud_1.efi`, `variable db`, `phase enter-initrd`. */
  readonly what: string
  readonly measured: Measured
  /** Event data as it will be in the log, where known and the same in each boot. */
  readonly data?: Uint8Array
  /** Taken from a firmware-only run of the same machine shape, not computed. */
  readonly isCalibrated?: true
  /** Events with the same name happen all or not at all: PCR 5 has two tails. */
  readonly group?: string
  /** Of one that is unknown: it stands for records in a row, how many is not known. `anything`: of whatever type, or none. */
  readonly standsFor?: 'several' | 'anything'
}

/** What a PCR holds in the end. */
export type PredictedPcr =
  /** Lower-case hexadecimal; more than one value where groups of events may happen or not. */
  | { readonly kind: 'known'; readonly values: readonly string[] }
  /** One sentence for each event that cannot be known. */
  | { readonly kind: 'unknown'; readonly why: readonly string[] }

/** By bank, then by PCR index, 0 to 23. */
export type PredictedPcrs = ReadonlyMap<HashAlgorithm, ReadonlyMap<number, PredictedPcr>>

/** Each group doubles the values of its PCR; a real boot has one. */
const MAX_GROUPS = 8

/**
 * The PCR values that events lead to, from their initial values (17 to 22 all ones, the rest zeros). Only the order inside
 * a PCR counts.
 *
 * A group that may happen or not gives its PCR one value for each choice. A PCR with an event that is unknown, or whose
 * digest for a bank is not at hand, is unknown in that bank.
 */
export function predictPcrs(events: readonly PredictedEvent[], banks: readonly HashAlgorithm[]): PredictedPcrs {
  const byPcr = Array.from({ length: PCR_COUNT }, (_, pcr) => events.filter((event) => event.pcr === pcr))
  return new Map(
    banks.map((bank) => [bank, new Map(byPcr.map((ofPcr, pcr) => [pcr, predictPcr(ofPcr, bank, pcr)] as const))]),
  )
}

/** What an event extends a PCR by in a bank; undefined where that cannot be known. */
export function predictedDigest(event: PredictedEvent, bank: HashAlgorithm): Uint8Array | undefined {
  return predictedDigests(event, [bank]).get(bank)
}

/** The digests that are known, of those banks. */
export function predictedDigests({ measured }: PredictedEvent, banks: readonly HashAlgorithm[]): Digests {
  if (measured.kind === 'bytes') return digestsOf(banks, measured.bytes)
  const known = measured.kind === 'digests' ? measured.digests : new Map<HashAlgorithm, string>()
  return new Map([...known].map(([bank, hex]) => [bank, Buffer.from(hex, 'hex')]))
}

function predictPcr(events: readonly PredictedEvent[], bank: HashAlgorithm, pcr: number): PredictedPcr {
  const groups = [...new Set(events.flatMap(({ group }) => (group === undefined ? [] : [group])))]
  if (groups.length > MAX_GROUPS) {
    throw new BootwrightError(
      'INVALID_ARGUMENT',
      `PCR ${pcr} has ${groups.length} groups of events that may happen or not, expected at most ${MAX_GROUPS}`,
    )
  }
  const why: string[] = []
  const steps: { digest: Uint8Array; group: number }[] = []
  for (const event of events) {
    const digest = predictedDigest(event, bank)
    if (digest === undefined) why.push(reason(event, bank))
    else steps.push({ digest, group: event.group === undefined ? -1 : groups.indexOf(event.group) })
  }
  if (why.length > 0) return { kind: 'unknown', why }
  const values = new Set<string>()
  for (let choice = 0; choice < 2 ** groups.length; choice++) {
    let value = initialPcrValue(bank, pcr)
    for (const { digest, group } of steps) {
      if (group === -1 || (choice & (1 << group)) !== 0) value = extendPcr(bank, value, digest)
    }
    values.add(Buffer.from(value).toString('hex'))
  }
  return { kind: 'known', values: [...values] }
}

function reason({ what, measured }: PredictedEvent, bank: HashAlgorithm): string {
  return `${what}: ${measured.kind === 'unknown' ? measured.why : `there is no ${bank} digest of it`}`
}
