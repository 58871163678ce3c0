import type { Cache } from '../cache.ts'
import type { StatFs } from '../disk-space.ts'
import type { PackageSources } from '../package-sources.ts'
import type { Toolchain } from '../toolchain.ts'

/** What a probe may use. */
export interface DoctorContext {
  readonly cache: Cache
  /** Where images and runs go. */
  readonly outDirectory: string
  /** The tools if they are ready; several probes can say more then. */
  readonly toolchain: Toolchain | undefined
  /** Why there are none, where that is an error and not just still to be done. */
  readonly toolchainError?: unknown
  readonly sources: () => Promise<PackageSources>
  readonly statFs?: StatFs
  readonly signal?: AbortSignal | undefined
}

/** `degraded`: everything works, but slower or less of it. `missing`: the main job cannot work. */
export type ProbeStatus = 'ok' | 'degraded' | 'missing'

export interface ProbeOutcome {
  readonly status: ProbeStatus
  /** What was found, as a fact. */
  readonly found: string
  /** What to do about it. */
  readonly hint?: string
}

/** One question to the host, answered by trying and not by looking for names. */
export interface Probe {
  readonly id: string
  readonly title: string
  run(context: DoctorContext): Promise<ProbeOutcome>
}

export function ok(found: string): ProbeOutcome {
  return { status: 'ok', found }
}

export function degraded(found: string, hint: string): ProbeOutcome {
  return { status: 'degraded', found, hint }
}

export function missing(found: string, hint: string): ProbeOutcome {
  return { status: 'missing', found, hint }
}
