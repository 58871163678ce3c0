import type { FindingCounts } from '../measure/index.ts'

/** Version of the JSON below; it grows when a reader of the old one could misunderstand the new one. */
export const REPORT_SCHEMA = 1

/**
 * What became of a check. `unsupported` names what the image or host lacks; it is never a way to pass.
 */
export type CheckStatus = 'passed' | 'failed' | 'unsupported'

export interface CheckReport {
  /** Stable, for CI rules: `failed-units`. */
  readonly id: string
  readonly title: string
  readonly status: CheckStatus
  /** What was seen, one fact a line. */
  readonly evidence: readonly string[]
  /** What should have been seen; with `found`, why the check failed. */
  readonly expected?: string
  readonly found?: string
  /** Stable code of the error that ended the check, if one did. */
  readonly code?: string
  readonly hint?: string
  /** Of a check that looks at single measurements: what became of them, by PCR. */
  readonly counts?: Readonly<Record<string, FindingCounts>>
  readonly durationMs: number
}

/** A check that was never asked, because something before it failed. */
export interface SkippedCheck {
  readonly id: string
  readonly title: string
  readonly reason: string
}

export interface StepReport {
  readonly name: string
  readonly durationMs: number
}

/** Everything that one run did; `report.json`, documented in docs/report.md. */
export interface RunReport {
  readonly schema: typeof REPORT_SCHEMA
  readonly run: {
    readonly id: string
    /** ISO 8601, UTC. */
    readonly startedAt: string
    readonly durationMs: number
    readonly image: { readonly name: string; readonly version: string; readonly identity: string }
    readonly cloud: string | null
    readonly firmware: string
    readonly accelerator: string
    readonly tools: Readonly<Record<string, string>>
    /** Repeats the run. */
    readonly command: string
    /** Logs, console and event log, relative to the working directory. */
    readonly directory: string
    /** What the machine itself added to the image's measurements. */
    readonly measured: readonly { readonly what: string; readonly pcrs: readonly number[] }[]
  }
  readonly steps: readonly StepReport[]
  readonly checks: readonly CheckReport[]
  readonly notRun: readonly SkippedCheck[]
  readonly summary: {
    readonly passed: number
    readonly failed: number
    readonly unsupported: number
    readonly notRun: number
  }
}

/** A run holds when every check was asked and none failed. */
export function runHolds(report: RunReport): boolean {
  return report.summary.failed === 0 && report.summary.notRun === 0 && report.summary.passed > 0
}

export function summarize(checks: readonly CheckReport[], notRun: readonly SkippedCheck[]): RunReport['summary'] {
  const count = (status: CheckStatus) => checks.filter((check) => check.status === status).length
  return { passed: count('passed'), failed: count('failed'), unsupported: count('unsupported'), notRun: notRun.length }
}
