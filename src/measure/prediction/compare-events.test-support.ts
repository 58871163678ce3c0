import { type ActualEvent, actualEvents, type EventFinding, parseEventLog, parseUserspaceLog } from '../index.ts'
import { agileLog, ascii, type LoggedEvent } from '../log-writer.test-support.ts'

export const GLOBAL = '8be4df61-93ca-11d2-aa0d-00e098032b8c'
export const SECURITY = 'd719b2cb-3d3a-4596-a3bc-dad00e67656f'

export function logged(events: readonly LoggedEvent[], words = ''): ActualEvent[] {
  return actualEvents(parseEventLog(agileLog(events)), parseUserspaceLog(ascii(words)))
}

export const notEqual = (findings: readonly EventFinding[]): EventFinding[] =>
  findings.filter(({ status }) => status !== 'equal')
/** PCR, status and cause of everything that is not as predicted. */
export const told = (findings: readonly EventFinding[]): string[] =>
  notEqual(findings).map(({ pcr, status, cause }) => `${pcr} ${status}: ${cause}`)

/** A record with another digest, and no word about it. */
export function altered(event: ActualEvent): ActualEvent {
  return { ...event, digests: new Map([...event.digests].map(([bank, digest]) => [bank, digest.map((b) => b ^ 1)])) }
}

export function moved(events: readonly ActualEvent[], from: number, to: number): ActualEvent[] {
  const result = events.toSpliced(from, 1)
  const event = events[from]
  return event === undefined ? result : result.toSpliced(to, 0, event)
}
