import { constants, createPublicKey, type KeyObject, verify, type webcrypto } from 'node:crypto'
import { BANK_ALGORITHMS } from './algorithms.ts'
import { sized, u16 } from './commands.ts'
import { readHash } from './hash-names.ts'
import type { PcrBank } from './swtpm.ts'
import { TpmReader } from './tpm-reader.ts'

const SCHEMES = { 20: 'rsassa', 22: 'rsapss', 24: 'ecdsa' } as const

/** A signature of a TPM (TPMT_SIGNATURE). */
export interface TpmSignature {
  readonly scheme: (typeof SCHEMES)[keyof typeof SCHEMES]
  readonly hash: PcrBank
  /** Of RSA one number, of ECDSA r and s; zeros in front may be left away. */
  readonly numbers: readonly Buffer[]
}

/** Reads TPMT_SIGNATURE (TPM 2.0 Part 2, 11.3.4) of RSASSA, RSAPSS or ECDSA. */
export function parseSignature(bytes: Uint8Array): TpmSignature {
  const reader = new TpmReader(bytes, 'TPMT_SIGNATURE')
  const signature = readSignature(reader)
  reader.end('signature')
  return signature
}

export function readSignature(reader: TpmReader): TpmSignature {
  const algorithm = reader.u16('sigAlg')
  const scheme = SCHEMES[algorithm as keyof typeof SCHEMES]
  if (scheme === undefined) {
    throw reader.malformed('sigAlg', `0x${algorithm.toString(16)} is none of RSASSA, RSAPSS and ECDSA`)
  }
  const hash = readHash(reader, 'hash')
  const numbers = scheme === 'ecdsa' ? [reader.sized('signatureR'), reader.sized('signatureS')] : [reader.sized('sig')]
  return { scheme, hash, numbers }
}

/** TPMT_SIGNATURE, as {@link parseSignature} reads it. */
export function signatureBytes({ scheme, hash, numbers }: TpmSignature): Buffer {
  const [algorithm = '0'] = Object.entries(SCHEMES).find(([, name]) => name === scheme) ?? []
  return Buffer.concat([u16(Number(algorithm), BANK_ALGORITHMS[hash].id), ...numbers.map((number) => sized(number))])
}

/** Whether a key has signed these bytes; false also for a key that is none. */
export function isSignedBy(publicKey: webcrypto.JsonWebKey, bytes: Uint8Array, signature: TpmSignature): boolean {
  try {
    const key = createPublicKey({ key: publicKey, format: 'jwk' })
    const { scheme, hash, numbers } = signature
    if ((key.asymmetricKeyType === 'ec') !== (scheme === 'ecdsa')) return false
    if (scheme === 'ecdsa') {
      return verify(hash, bytes, { key, dsaEncoding: 'ieee-p1363' }, joined(numbers, numberBytes(key)))
    }
    const padding = scheme === 'rsassa' ? constants.RSA_PKCS1_PADDING : constants.RSA_PKCS1_PSS_PADDING
    const options = { key, padding, saltLength: constants.RSA_PSS_SALTLEN_AUTO }
    return verify(hash, bytes, scheme === 'rsassa' ? { key, padding } : options, joined(numbers, rsaBytes(key)))
  } catch {
    // Not a point of the curve, or a number that is too long.
    return false
  }
}

function joined(numbers: readonly Buffer[], length: number): Buffer {
  return Buffer.concat(numbers.map((number) => Buffer.concat([Buffer.alloc(length - number.length), number])))
}

function numberBytes(key: KeyObject): number {
  const bytes = { prime256v1: 32, secp384r1: 48, secp521r1: 66 }[key.asymmetricKeyDetails?.namedCurve ?? '']
  if (bytes === undefined) throw new RangeError('a curve that no TPM signs with')
  return bytes
}

function rsaBytes(key: KeyObject): number {
  return Math.ceil((key.asymmetricKeyDetails?.modulusLength ?? 0) / 8)
}
