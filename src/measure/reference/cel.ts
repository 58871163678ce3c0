import { eventTypeName } from '../event-types.ts'
import type { PredictedEvent } from '../prediction/event.ts'
import { type DigestRecord, digestRecords } from './digest-records.ts'
import type { ReferenceValues } from './reference-values.ts'

/** A record of a canonical event log in JSON (TCG Canonical Event Log Format 1.0, 4.1 and 5). */
export interface CelRecord {
  readonly recnum: number
  readonly pcr: number
  readonly digests: readonly DigestRecord[]
  readonly content_type: 'pcclient_std' | 'systemd'
  readonly content: object
}

/**
 * The events as the canonical log that the boot would leave, in the form in which `systemd-pcrlock cel` prints it. Events
 * that happen in some boots only cannot be in it: their PCRs are named in `leftOut`.
 */
export function canonicalEventLog(reference: ReferenceValues): {
  readonly records: CelRecord[]
  readonly leftOut: ReferenceValues['leftOut']
} {
  const open = new Set(reference.events.filter(({ group }) => group !== undefined).map(({ pcr }) => pcr))
  const events = reference.events.filter(({ pcr }) => !open.has(pcr))
  const leftOut = [...open].map((pcr) => ({ pcr, why: 'some of its events happen in some boots only' }))
  return {
    records: events.map((event, recnum) => {
      const { pcr } = event
      return { recnum, pcr, digests: digestRecords(event, reference.banks), ...content(event) }
    }),
    leftOut: [...reference.leftOut, ...leftOut].sort((a, b) => a.pcr - b.pcr),
  }
}

function content({ type, measured, data, what }: PredictedEvent): Pick<CelRecord, 'content_type' | 'content'> {
  const bytes = measured.kind === 'bytes' ? Buffer.from(measured.bytes) : undefined
  if (type === 'word') return { content_type: 'systemd', content: { string: bytes?.toString() ?? what } }
  const event = { event_type: eventTypeName(type), event_data: Buffer.from(data ?? []).toString('hex') }
  return { content_type: 'pcclient_std', content: event }
}
