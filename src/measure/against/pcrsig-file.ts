import { HASH_ALGORITHMS, type HashAlgorithm } from '../hash-algorithms.ts'
import { isObject, isPcr, jsonObject, readDigest } from './json-input.ts'

/** A policy of a `.pcrsig`: what PCRs are to lead to, and who says so. */
export interface SignedPolicy {
  readonly bank: HashAlgorithm
  /** In ascending order. */
  readonly pcrs: readonly number[]
  /** Digest of the policy: SHA-256. */
  readonly policy: Buffer
  /** Lower-case hexadecimal; see `keyFingerprint()`. */
  readonly keyFingerprint: string | undefined
  readonly policyRef: string | undefined
  /** Undefined for a digest that is yet to be signed. */
  readonly signature: Buffer | undefined
}

/**
 * Reads what `systemd-measure sign` writes and a UKI has in `.pcrsig`: lists of policies by bank. Banks that are not
 * known here are passed over. Rejects anything else with `MALFORMED_INPUT`.
 */
export function parsePcrSignatures(bytes: Uint8Array): SignedPolicy[] {
  // ukify pads the section of a UKI with zeros.
  const end = bytes.indexOf(0)
  const { object, fail } = jsonObject('PCR signatures', end === -1 ? bytes : bytes.subarray(0, end))
  return Object.entries(object).flatMap(([name, entries]) => {
    if (!Array.isArray(entries)) throw fail(name, 'expected a list of policies')
    const bank = HASH_ALGORITHMS.find((known) => known === name)
    if (bank === undefined) return []
    return (entries as unknown[]).map((entry) => {
      if (!isObject(entry)) throw fail(name, 'expected objects')
      const { pcrs, pol, pkfp, ref, sig } = entry
      if (!Array.isArray(pcrs) || pcrs.length === 0 || !pcrs.every(isPcr)) throw fail('pcrs', 'expected a list of PCRs')
      if (pkfp !== undefined && typeof pkfp !== 'string') throw fail('pkfp', 'expected a text')
      if (ref !== undefined && typeof ref !== 'string') throw fail('ref', 'expected a text')
      if (sig !== undefined && typeof sig !== 'string') throw fail('sig', 'expected a text in base64')
      return {
        bank,
        pcrs: [...new Set(pcrs)].sort((a, b) => a - b),
        policy: readDigest(pol, 'sha256', fail),
        keyFingerprint: pkfp?.toLowerCase(),
        policyRef: ref,
        signature: sig === undefined ? undefined : Buffer.from(sig, 'base64'),
      }
    })
  })
}
