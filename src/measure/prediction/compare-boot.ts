import { actualEvents } from './actual-events.ts'
import { compareEvents, type EventFinding } from './compare-events.ts'
import type { BootLogs } from './compare-logs.ts'
import type { PredictedEvent } from './event.ts'

/** What the boot itself measures; 16 and above belong to whoever runs in the system. */
const LAST_PCR = 15

/**
 * Compares every event of a boot, in PCR 0 to 15 and in all banks of its log, with what was predicted of it.
 * `INVALID_ARGUMENT` for a log without a bank.
 */
export function compareBoot(predicted: readonly PredictedEvent[], { log, userspaceLog }: BootLogs): EventFinding[] {
  return compareEvents(predicted, actualEvents(log, userspaceLog), log.banks).filter(({ pcr }) => pcr <= LAST_PCR)
}

/** What is wrong: not what is as predicted, and not what could not be. */
export function wrongFindings(findings: readonly EventFinding[]): EventFinding[] {
  return findings.filter(({ status }) => status !== 'equal' && status !== 'unknown')
}
