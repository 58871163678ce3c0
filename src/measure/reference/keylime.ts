import type { HashAlgorithm } from '../hash-algorithms.ts'
import { type ReferenceValues, valuesOf } from './reference-values.ts'

/**
 * A TPM policy of Keylime (`keylime_tenant --tpm_policy`): the values that each PCR may have, and which PCRs those are as
 * a mask. It has one bank, the one that the agent quotes.
 */
export function keylimePolicy(reference: ReferenceValues, bank: HashAlgorithm): Readonly<Record<string, unknown>> {
  const mask = reference.pcrs.reduce((sum, pcr) => sum | (1 << pcr), 0)
  return {
    ...Object.fromEntries(reference.pcrs.map((pcr) => [pcr, valuesOf(reference, bank, pcr)])),
    mask: `0x${mask.toString(16)}`,
  }
}
