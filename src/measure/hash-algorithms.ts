import { createHash, hash } from 'node:crypto'
import { unknownName } from '../system/index.ts'

/** The hash algorithms of the PCR banks that are handled here, as systemd, the kernel and node:crypto spell them. */
export type HashAlgorithm = 'sha1' | 'sha256' | 'sha384' | 'sha512'

export interface HashAlgorithmFacts {
  readonly name: HashAlgorithm
  /** TPM_ALG_ID (TCG Algorithm Registry). */
  readonly tpmId: number
  readonly digestBytes: number
}

const FACTS: Readonly<Record<HashAlgorithm, HashAlgorithmFacts>> = {
  sha1: { name: 'sha1', tpmId: 0x0004, digestBytes: 20 },
  sha256: { name: 'sha256', tpmId: 0x000b, digestBytes: 32 },
  sha384: { name: 'sha384', tpmId: 0x000c, digestBytes: 48 },
  sha512: { name: 'sha512', tpmId: 0x000d, digestBytes: 64 },
}

/** All banks, in the order in which systemd prints them. */
export const HASH_ALGORITHMS: readonly HashAlgorithm[] = ['sha1', 'sha256', 'sha384', 'sha512']

/** Digests by bank, all of the same bytes. `Bank` is wider where other hashes of OpenSSL are computed with. */
export type Digests<Bank extends string = HashAlgorithm> = ReadonlyMap<Bank, Uint8Array>

export function hashAlgorithmFacts(name: HashAlgorithm): HashAlgorithmFacts {
  return FACTS[name]
}

/** The algorithm with this TPM_ALG_ID, or undefined for one that is not handled here (SM3, SHA-3). */
export function hashAlgorithmOfTpmId(tpmId: number): HashAlgorithm | undefined {
  return HASH_ALGORITHMS.find((name) => FACTS[name].tpmId === tpmId)
}

/** The algorithm of this name; rejects any other name with the list of those that exist. */
export function parseHashAlgorithm(name: string): HashAlgorithm {
  const found = HASH_ALGORITHMS.find((known) => known === name)
  if (found === undefined) throw unknownName('PCR bank', name, HASH_ALGORITHMS)
  return found
}

/**
 * H(bytes), in the way that costs least: a long log has hundreds of thousands of small hashes, and Node takes several
 * times as long to make an object or a buffer for each as to hash.
 */
export function hashOf(bank: string, bytes: Uint8Array): Uint8Array {
  return Buffer.from(hash(bank, bytes, 'latin1'), 'latin1')
}

/** H(chunks) in each bank. */
export function digestsOf<Bank extends string>(
  banks: readonly Bank[],
  ...chunks: readonly Uint8Array[]
): Digests<Bank> {
  return new Map(
    banks.map((bank) => {
      const [only] = chunks
      if (chunks.length === 1 && only !== undefined) return [bank, hashOf(bank, only)]
      const state = createHash(bank)
      for (const chunk of chunks) state.update(chunk)
      return [bank, state.digest()]
    }),
  )
}
