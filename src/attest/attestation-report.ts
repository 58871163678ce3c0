import { type CheckReport, type RunReport, summarize } from '../report/index.ts'
import type { Evidence } from './evidence.ts'

/** Version of the JSON below; raised when a field changes its meaning or goes. */
const SCHEMA = 1

export type AttestationFinding = Pick<CheckReport, 'status' | 'evidence' | 'expected' | 'found' | 'hint' | 'counts'>

export function passed(...evidence: string[]): AttestationFinding {
  return { status: 'passed', evidence }
}

export function failed(expected: string, found: string, ...evidence: string[]): AttestationFinding {
  return { status: 'failed', expected, found, evidence }
}

export function unsupported(...missing: string[]): AttestationFinding {
  return { status: 'unsupported', evidence: missing }
}

/** What was judged, and how; documented in docs/attestation.md. */
export interface AttestationReport {
  readonly schema: typeof SCHEMA
  readonly quote: {
    readonly selections: Evidence['quote']['selections']
    /** Hexadecimal. */
    readonly nonce: string
    readonly pcrDigest: string
    readonly resetCount: number
    readonly restartCount: number
    readonly scheme: string
    /** JSON Web Key (RFC 7517). */
    readonly publicKey: Evidence['quote']['publicKey']
  }
  readonly checks: readonly CheckReport[]
  readonly summary: RunReport['summary']
}

export function attestationReport({ quote }: Evidence, checks: readonly CheckReport[]): AttestationReport {
  const { selections, nonce, pcrDigest, resetCount, restartCount, signature, publicKey } = quote
  return {
    schema: SCHEMA,
    quote: {
      selections,
      nonce: nonce.toString('hex'),
      pcrDigest: pcrDigest.toString('hex'),
      resetCount,
      restartCount,
      scheme: `${signature.scheme} with ${signature.hash}`,
      publicKey,
    },
    checks,
    summary: summarize(checks, []),
  }
}

/** Whether the quote was proven to be one, and nothing failed. */
export function attestationHolds({ checks, summary }: AttestationReport): boolean {
  return summary.failed === 0 && checks.some(({ id, status }) => id === 'quote-signature' && status === 'passed')
}
