import type { UsableEndpoint } from '../endpoint/endpoint.ts'
import { DIRECT_DEADLINE_MS, RETRY_DELAYS_MS, SEARCH_DEADLINE_MS } from './limits.ts'

/** What a broker is given. */
export interface BrokerSettings {
  readonly endpoint: UsableEndpoint | undefined
  /** Where answers are remembered; nothing is without it. */
  readonly runtimeDirectory: string | undefined
  /** Whether to answer as systemd 262 does where that is a fault. */
  readonly compat: boolean
  readonly retryDelaysMs: readonly number[]
  readonly directDeadlineMs: number
  readonly searchDeadlineMs: number
  /** Told of what nobody gets as an answer. */
  readonly log: (line: string) => void
}

export const DEFAULT_SETTINGS: Omit<BrokerSettings, 'endpoint' | 'runtimeDirectory'> = {
  compat: false,
  retryDelaysMs: RETRY_DELAYS_MS,
  directDeadlineMs: DIRECT_DEADLINE_MS,
  searchDeadlineMs: SEARCH_DEADLINE_MS,
  log: () => undefined,
}

/** What is wanted of the endpoint. */
export interface FetchRequest {
  /** Behind the data URL. */
  readonly key: string
  /** Number of the interface; it is looked for when absent. */
  readonly interfaceIndex: number | undefined
  /** How old an answer may be, and how long a token is to last. */
  readonly refreshUSec: number
  readonly cache: boolean
  readonly mark: number | undefined
  /** Whether to wait for an interface that answers. */
  readonly wait: boolean
}

export interface Fetched {
  readonly data: Uint8Array
  /** Where it came from. */
  readonly interfaceIndex: number
}
