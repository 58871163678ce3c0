import type { CheckReport } from './run-report.ts'

/** Of one PCR: how many events were predicted, how many were measured, and of how many there was no prediction. */
export interface EventCounts {
  readonly pcr: number
  readonly predicted: number
  readonly actual: number
  readonly unknown: number
}

/** In ascending order of PCRs. */
export function eventCounts(counts: NonNullable<CheckReport['counts']>): EventCounts[] {
  return Object.entries(counts)
    .map(([pcr, { predicted, actual, unknown }]) => ({ pcr: Number(pcr), predicted, actual, unknown }))
    .sort((a, b) => a.pcr - b.pcr)
}
