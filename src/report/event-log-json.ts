import { type EventLogReport, hex, hexDigests, type ListedEvent } from './event-log-report.ts'

/**
 * What `eventlog --json` prints: `schema`, `format`, `events`, `pcrs`, `irregularities`, and what else was asked for.
 * Plain data: bytes, addresses and handles in hexadecimal, digests by bank or, for one that is not known, by TPM_ALG_ID.
 */
export function eventLogJson({ events, ...report }: EventLogReport): object {
  return { schema: 1, ...report, events: events.map(plainEvent) }
}

function plainEvent({ digests, otherDigests, nvIndex, payload, ...event }: ListedEvent): object {
  const others = [...(otherDigests ?? [])].map(([id, digest]) => [`0x${id.toString(16).padStart(4, '0')}`, hex(digest)])
  return {
    ...event,
    ...(nvIndex === undefined ? {} : { nvIndex: `0x${nvIndex.toString(16).padStart(8, '0')}` }),
    digests: { ...hexDigests(digests), ...Object.fromEntries(others) },
    payload: Object.fromEntries(Object.entries(payload).map(([name, value]) => [name, plainValue(value)])),
  }
}

function plainValue(value: unknown): unknown {
  if (typeof value === 'bigint') return `0x${value.toString(16)}`
  return value instanceof Uint8Array ? hex(value) : value
}
