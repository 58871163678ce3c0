import { checkLines, type TerminalOptions } from '../report/index.ts'
import { type AttestationReport, attestationHolds } from './attestation-report.ts'

/** The report for people. */
export function attestationText(report: AttestationReport, options: TerminalOptions): string {
  const { quote, checks, summary } = report
  const about = quote.selections.map(({ bank, pcrs }) => `${bank} ${pcrs.join(' ')}`).join('; ')
  return [
    `Quote of PCRs ${about}`,
    `nonce ${quote.nonce || 'none'}, TPM reset ${quote.resetCount} times`,
    '',
    ...checkLines(checks, options),
    '',
    `${attestationHolds(report) ? 'It holds' : 'It does not hold'}: ${summary.passed} passed, ${summary.failed} failed, ${summary.unsupported} not asked`,
    '',
  ].join('\n')
}
