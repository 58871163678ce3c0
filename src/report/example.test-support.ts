import { type CheckReport, REPORT_SCHEMA, type RunReport, type SkippedCheck, summarize } from './run-report.ts'

/** A report of the given checks; everything else is the same each time. */
export function reportOf(checks: readonly CheckReport[], notRun: readonly SkippedCheck[] = []): RunReport {
  return {
    schema: REPORT_SCHEMA,
    run: {
      id: '20260102T030405Z-abcd',
      startedAt: '2026-01-02T03:04:05.000Z',
      durationMs: 61_234,
      image: { name: 'cloud', version: '1', identity: 'abc' },
      cloud: 'aws',
      firmware: 'plain',
      accelerator: 'tcg',
      tools: { qemu: '11.1' },
      command: './bootwright verify cloud',
      directory: 'out/runs/20260102T030405Z-abcd',
      measured: [],
    },
    steps: [],
    checks,
    notRun,
    summary: summarize(checks, notRun),
  }
}

export const PASSED: CheckReport = {
  id: 'tpm-present',
  title: 'The TPM is there',
  status: 'passed',
  evidence: ['TPM 2.0 with sha256'],
  durationMs: 12,
}

export const FAILED: CheckReport = {
  id: 'pcr-11',
  title: 'PCR 11 is right',
  status: 'failed',
  evidence: ['sha256: predicted aa, found bb', 'two\nlines'],
  expected: 'aa',
  found: 'bb',
  hint: 'Look again.',
  durationMs: 1_500,
}

/** With how many measurements there are. */
export const COUNTED: CheckReport = {
  ...PASSED,
  id: 'events',
  title: 'Every event is right',
  counts: {
    11: { predicted: 16, actual: 15, equal: 14, different: 0, missing: 1, unexpected: 0, unknown: 1 },
    4: { predicted: 3, actual: 3, equal: 3, different: 0, missing: 0, unexpected: 0, unknown: 0 },
  },
}

export const UNSUPPORTED: CheckReport = {
  id: 'imds-hostname',
  title: 'The hostname is given',
  status: 'unsupported',
  evidence: ['the machine was started in no cloud'],
  durationMs: 0,
}

export const NOT_RUN: SkippedCheck = { id: 'event-log', title: 'The logs replay', reason: 'the machine did not boot' }
