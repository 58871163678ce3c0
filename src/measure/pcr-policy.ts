import { createHash, type KeyObject, sign } from 'node:crypto'
import { BootwrightError } from '../system/index.ts'
import { type HashAlgorithm, hashAlgorithmFacts } from './hash-algorithms.ts'

/** TPM_CC_PolicyPCR (TPM 2.0 Part 2). */
const POLICY_PCR = 0x17f
const SELECT_BYTES = 3
/** The hash of policies, whatever the bank of their PCRs: systemd seals under SHA-256. */
const POLICY_HASH = 'sha256'

/** Values of PCRs in one bank, lower-case hexadecimal. */
export type PcrValues = ReadonlyMap<number, string>

/** The policy digest of TPM2_PolicyPCR from an empty policy: what a TPM session has when these PCRs have these values. */
export function policyPcr(bank: HashAlgorithm, values: PcrValues): Buffer {
  const selection = Buffer.alloc(4 + 2 + 1 + SELECT_BYTES)
  selection.writeUInt32BE(1, 0)
  selection.writeUInt16BE(hashAlgorithmFacts(bank).tpmId, 4)
  selection.writeUInt8(SELECT_BYTES, 6)
  const sorted = [...values].sort(([a], [b]) => a - b)
  const concatenated = createHash(POLICY_HASH)
  for (const [pcr, value] of sorted) {
    selection[7 + (pcr >> 3)] = (selection[7 + (pcr >> 3)] ?? 0) | (1 << (pcr & 7))
    concatenated.update(value, 'hex')
  }
  const code = Buffer.alloc(4)
  code.writeUInt32BE(POLICY_PCR)
  return createHash(POLICY_HASH)
    .update(Buffer.alloc(32))
    .update(code)
    .update(selection)
    .update(concatenated.digest())
    .digest()
}

/** What is signed for a policy: its digest, and that of the reference that TPM2_PolicyAuthorize is given, if any. */
export function signedContent(policy: Uint8Array, policyRef: string | undefined): Buffer {
  if (policyRef === undefined) return Buffer.from(policy)
  return Buffer.concat([policy, createHash(POLICY_HASH).update(policyRef).digest()])
}

/** RSASSA-PKCS1-v1_5, or ECDSA (DER), with SHA-256, as TPM2_VerifySignature wants it. */
export function signPolicy(content: Uint8Array, privateKey: KeyObject): Buffer {
  return sign(POLICY_HASH, content, privateKey)
}

/**
 * How signatures name their key: SHA-256, hexadecimal, over an RSA key in PKCS#1 form, or over the point of an elliptic
 * curve's. Rejects other kinds of keys with `INVALID_ARGUMENT`.
 */
export function keyFingerprint(publicKey: KeyObject): string {
  return createHash(POLICY_HASH).update(publicKeyBytes(publicKey)).digest('hex')
}

function publicKeyBytes(key: KeyObject): Buffer {
  if (key.asymmetricKeyType === 'rsa') return key.export({ type: 'pkcs1', format: 'der' })
  const { x, y } = key.export({ format: 'jwk' })
  if (key.asymmetricKeyType !== 'ec' || x === undefined || y === undefined) {
    throw new BootwrightError('INVALID_ARGUMENT', `Expected a key of RSA or of a curve, found ${key.asymmetricKeyType}`)
  }
  return Buffer.concat([Buffer.of(UNCOMPRESSED), Buffer.from(x, 'base64url'), Buffer.from(y, 'base64url')])
}

/** What a point begins with that has both coordinates (SEC 1, 2.3.3). */
const UNCOMPRESSED = 0x04
