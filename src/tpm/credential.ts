import {
  constants,
  createCipheriv,
  createHmac,
  createPublicKey,
  publicEncrypt,
  randomBytes,
  type webcrypto,
} from 'node:crypto'
import { sized, words } from './commands.ts'

const SEED_BYTES = 32

/** A secret that only one TPM can open, and only while it holds the key of a certain name. */
export interface Credential {
  /** TPMS_ID_OBJECT. */
  readonly blob: Buffer
  /** The seed, encrypted. */
  readonly secret: Buffer
}

/**
 * Encrypts a secret to an endorsement key (RSA with SHA-256 and AES-128, template L-1) for a key of that name (TPM 2.0
 * Part 1, 24 "Credential Protection"; Part 3, TPM2_MakeCredential). It takes no TPM.
 */
export function makeCredential(
  endorsementKey: webcrypto.JsonWebKey,
  name: Uint8Array,
  credential: Uint8Array,
): Credential {
  const seed = randomBytes(SEED_BYTES)
  const key = createPublicKey({ key: endorsementKey, format: 'jwk' })
  const secret = publicEncrypt(
    { key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256', oaepLabel: Buffer.from('IDENTITY\0') },
    seed,
  )
  const cipher = createCipheriv('aes-128-cfb', kdfa(seed, 'STORAGE', name, 128), Buffer.alloc(16))
  const encrypted = Buffer.concat([cipher.update(sized(credential)), cipher.final()])
  const integrity = createHmac('sha256', kdfa(seed, 'INTEGRITY', new Uint8Array(), 256))
    .update(encrypted)
    .update(name)
    .digest()
  return { blob: Buffer.concat([sized(integrity), encrypted]), secret }
}

/** KDFa() with SHA-256, for no more bits than that has (TPM 2.0 Part 1, 11.4.10.2). */
function kdfa(key: Uint8Array, label: string, context: Uint8Array, bits: number): Buffer {
  return createHmac('sha256', key)
    .update(Buffer.concat([words(1), Buffer.from(`${label}\0`), context, words(bits)]))
    .digest()
    .subarray(0, bits / 8)
}
