import { createHash } from 'node:crypto'
import { HASH_ALGORITHMS, type HashAlgorithm } from '../../measure/index.ts'
import { ToolFailure } from '../tool-failure.ts'

/**
 * Names of OpenSSL's hashes of fixed length, in the order in which systemd sorts them. A TPM may have banks of some of
 * them; `calculate` takes them all.
 */
const OPENSSL_HASHES: readonly string[] = [
  'blake2b512',
  'blake2s256',
  'md5',
  'md5-sha1',
  'ripemd160',
  'sha1',
  'sha224',
  'sha256',
  'sha3-224',
  'sha3-256',
  'sha3-384',
  'sha3-512',
  'sha384',
  'sha512',
  'sha512-224',
  'sha512-256',
  'sm3',
]

/** The hash that OpenSSL knows by a name or another name of it, in whatever case; rejects with the original's words. */
export function bankNamed(name: string): string {
  const wanted = name.toLowerCase()
  const found = OPENSSL_HASHES.find((known) => known === wanted) ?? hashAlsoCalled(wanted)
  if (found === undefined) throw new ToolFailure(`Unknown bank '${name}', refusing.`)
  return found
}

/** `sha2-256` and `rsa-sha256` are sha256: what hashes nothing to the same value. */
function hashAlsoCalled(name: string): string | undefined {
  // Node would warn that it does not know how long these are to be.
  if (name.startsWith('shake')) return undefined
  const digest = hashOfNothing(name)
  return digest === undefined ? undefined : OPENSSL_HASHES.find((known) => hashOfNothing(known) === digest)
}

function hashOfNothing(name: string): string | undefined {
  try {
    return createHash(name).digest('hex')
  } catch {
    return undefined
  }
}

/** Each once, in the original's order. */
export function sortedBanks(banks: ReadonlySet<string>): readonly string[] {
  return banks.size === 0 ? HASH_ALGORITHMS : OPENSSL_HASHES.filter((bank) => banks.has(bank))
}

/** Policies are for TPMs, and only these have a number there that systemd knows; rejects with the original's words. */
export function policyBank(bank: string): HashAlgorithm {
  const found = HASH_ALGORITHMS.find((known) => known === bank)
  if (found === undefined) throw new ToolFailure('Unsupported PCR bank')
  return found
}
