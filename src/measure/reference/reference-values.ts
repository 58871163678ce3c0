import type { HashAlgorithm } from '../hash-algorithms.ts'
import { type PredictedEvent, type PredictedPcrs, predictPcrs } from '../prediction/event.ts'

/** What of a prediction a verifier can be given: PCRs of which everything is known, in every bank. */
export interface ReferenceValues {
  readonly banks: readonly HashAlgorithm[]
  /** In ascending order. */
  readonly pcrs: readonly number[]
  /** Of these PCRs, in the order of each. */
  readonly events: readonly PredictedEvent[]
  readonly values: PredictedPcrs
  /** PCRs that were wanted and cannot be given, each with the reason. */
  readonly leftOut: readonly { readonly pcr: number; readonly why: string }[]
}

/** @param wanted PCRs that are of interest; without, all that anything is measured into */
export function referenceValues(
  events: readonly PredictedEvent[],
  banks: readonly HashAlgorithm[],
  wanted: readonly number[] = [...new Set(events.map(({ pcr }) => pcr))],
): ReferenceValues {
  const values = predictPcrs(events, banks)
  const pcrs: number[] = []
  const leftOut: { pcr: number; why: string }[] = []
  for (const pcr of [...new Set(wanted)].sort((a, b) => a - b)) {
    const why = banks.flatMap((bank) => {
      const value = values.get(bank)?.get(pcr)
      return value?.kind === 'known' ? [] : [value?.why.join('; ') ?? `the TPM has no PCR ${pcr}`]
    })
    if (why[0] === undefined) pcrs.push(pcr)
    else leftOut.push({ pcr, why: why[0] })
  }
  return { banks, pcrs, events: events.filter(({ pcr }) => pcrs.includes(pcr)), values, leftOut }
}

/** The values that a PCR may have, in one bank. */
export function valuesOf({ values }: ReferenceValues, bank: HashAlgorithm, pcr: number): readonly string[] {
  const value = values.get(bank)?.get(pcr)
  return value?.kind === 'known' ? value.values : []
}
