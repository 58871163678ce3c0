import type { X509Certificate } from 'node:crypto'
import type { PredictedEvent, PredictedPcrs } from '../measure/index.ts'
import type { CheckReport } from '../report/index.ts'
import type { EndorsementAuthority } from '../tpm/index.ts'
import { type AttestationFinding, unsupported } from './attestation-report.ts'
import type { Evidence } from './evidence.ts'
import { judgeCredential, judgeEndorsement } from './judge-endorsement.ts'
import { judgeEventLogs, judgeEvents, judgePcrs } from './judge-measurements.ts'
import { judgeNonce, judgeSignature, judgeValues, quotedValues } from './judge-quote.ts'

/** What a verifier knows beforehand. Of what is absent nothing is claimed. */
export interface Expectation {
  /** What was to be quoted along. */
  readonly nonce?: Uint8Array | undefined
  /** Who may certify endorsement keys, and the certificate of the very TPM that is meant. */
  readonly endorsement?: {
    readonly authority: Pick<EndorsementAuthority, 'issuer' | 'root'>
    readonly certificate?: X509Certificate | undefined
  }
  /** Each measurement of the boot. */
  readonly events?: readonly PredictedEvent[] | undefined
  /** What the PCRs hold in the end. */
  readonly pcrs?: PredictedPcrs | undefined
}

/** Judges evidence: every check, in the order in which one builds on the other. None is left out. */
export function judgeEvidence(evidence: Evidence, expected: Expectation): CheckReport[] {
  const values = quotedValues(evidence)
  const CHECKS: readonly [id: string, title: string, judge: () => AttestationFinding][] = [
    ['ek-certificate', 'The endorsement key is certified', () => judgeEndorsement(evidence, expected)],
    ['credential', 'The key of the quote is in the TPM with that endorsement key', () => judgeCredential(evidence)],
    ['quote-signature', 'The quote is signed by its key', () => judgeSignature(evidence)],
    ['quote-nonce', 'The quote answers this question, not an old one', () => judgeNonce(evidence, expected)],
    ['quote-values', 'The PCR values are those that the quote is about', () => judgeValues(evidence, values)],
    ['event-log', 'The event logs replay to the quoted values', () => judgeEventLogs(evidence, values)],
    ['pcrs', 'Every quoted PCR that can be predicted has its predicted value', () => judgePcrs(values, expected)],
    ['events', 'Every event in the quoted PCRs is as predicted', () => judgeEvents(evidence, values, expected)],
  ]
  const areValuesProven =
    judgeSignature(evidence).status === 'passed' && judgeValues(evidence, values).status === 'passed'
  const proven: Readonly<Record<string, boolean>> = {
    'event-log': areValuesProven,
    pcrs: areValuesProven,
    events: areValuesProven && judgeEventLogs(evidence, values).status === 'passed',
  }
  return CHECKS.map(([id, title, judge]) => {
    const begun = performance.now()
    const finding = proven[id] === false ? unproven(judge()) : judge()
    return { id, title, ...finding, durationMs: Math.round(performance.now() - begun) }
  })
}

/** What no quote proves may be anything: what follows from it is not held, whatever it looks like. */
function unproven(finding: AttestationFinding): AttestationFinding {
  if (finding.status !== 'passed') return finding
  return unsupported('nothing proves it: the quote or the replay of the logs does not hold', ...finding.evidence)
}
