import { createPublicKey, type KeyObject } from 'node:crypto'
import { BootwrightError } from '../../system/index.ts'
import { type HashAlgorithm, hashAlgorithmFacts } from '../hash-algorithms.ts'
import { keyFingerprint, policyPcr, signedContent, signPolicy } from '../pcr-policy.ts'
import { type ReferenceValues, valuesOf } from './reference-values.ts'

/** A signed policy of PCR values, as `.pcrsig` and `systemd-measure sign` have it (systemd.pcrsig, JSON by bank). */
export interface PcrSignature {
  readonly pcrs: readonly number[]
  readonly pkfp: string
  readonly ref?: string
  readonly pol: string
  readonly sig: string
}

/** PCRs with several values multiply: nobody tries that many policies. */
const MAX_POLICIES = 64

/**
 * Signs, for each bank, that the PCRs have the values that the booted system shows: one signature for each combination of
 * those. Rejects with `INVALID_ARGUMENT` for a key that is neither RSA nor of a curve, without a PCR, and for more than 64
 * combinations.
 */
export function pcrSignatures(
  reference: ReferenceValues,
  privateKey: KeyObject,
  policyRef?: string,
): Readonly<Partial<Record<HashAlgorithm, readonly PcrSignature[]>>> {
  if (reference.pcrs.length === 0) {
    throw new BootwrightError('INVALID_ARGUMENT', 'There is no PCR whose value could be signed', {
      hint: 'Choose PCRs of which everything is known: --pcrs 11.',
    })
  }
  const pkfp = keyFingerprint(createPublicKey(privateKey))
  // The order in which systemd lists banks.
  const banks = reference.banks.toSorted((a, b) => hashAlgorithmFacts(a).tpmId - hashAlgorithmFacts(b).tpmId)
  return Object.fromEntries(
    banks.map((bank) => [
      bank,
      combinations(reference, bank).map((values): PcrSignature => {
        const policy = policyPcr(bank, values)
        const sig = signPolicy(signedContent(policy, policyRef), privateKey).toString('base64')
        const ref = policyRef === undefined ? {} : { ref: policyRef }
        return { pcrs: [...reference.pcrs], pkfp, ...ref, pol: policy.toString('hex'), sig }
      }),
    ]),
  )
}

function combinations(reference: ReferenceValues, bank: HashAlgorithm): ReadonlyMap<number, string>[] {
  let all: ReadonlyMap<number, string>[] = [new Map()]
  for (const pcr of reference.pcrs) {
    all = all.flatMap((chosen) => valuesOf(reference, bank, pcr).map((value) => new Map([...chosen, [pcr, value]])))
    if (all.length > MAX_POLICIES) {
      throw new BootwrightError(
        'INVALID_ARGUMENT',
        `PCRs ${reference.pcrs.join(', ')} have more than ${MAX_POLICIES} combinations of values`,
        { hint: 'Choose fewer PCRs with --pcrs.' },
      )
    }
  }
  return all
}
