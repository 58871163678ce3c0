import type { BootLogs, PcrBanks } from '../measure/index.ts'
import type { PublicArea, Quote } from '../tpm/index.ts'

/** What somebody shows who claims to be a machine in a certain state. Nothing in it is true before it was judged. */
export interface Evidence {
  readonly quote: Quote
  /** The values that the quote is about; what the logs lead to when absent. */
  readonly values?: PcrBanks | undefined
  readonly logs?: BootLogs | undefined
  /** Where the key of the quote is; unknown when absent. */
  readonly endorsement?: EndorsementEvidence | undefined
}

export interface EndorsementEvidence {
  /** DER. */
  readonly certificate: Uint8Array
  /** The key that signed the quote, as its TPM describes it. */
  readonly attestationKey: PublicArea
  /** What was encrypted to the key of the certificate, for the attestation key alone. */
  readonly challenge: Uint8Array
  /** What the TPM found in it; or why it found nothing. */
  readonly answer: { readonly opened: Uint8Array } | { readonly refused: string }
}
