import { createHash, createPublicKey } from 'node:crypto'
import { BootwrightError } from '../../../system/index.ts'

/** A PCR in the TPM's NV memory (systemd 259, /usr/lib/nvpcr/*.nvpcr). */
export interface Nvpcr {
  readonly name: string
  readonly nvIndex: number
  /** Kept in memory until the TPM is shut down in an orderly way. */
  readonly isOrderly: boolean
}

/** Those that systemd 262 defines, in the order in which it sets them up. */
export const SYSTEMD_NVPCRS: readonly Nvpcr[] = [
  { name: 'verity', nvIndex: 0x01d10202, isOrderly: true },
  { name: 'hardware', nvIndex: 0x01d10200, isOrderly: false },
  { name: 'cryptsetup', nvIndex: 0x01d10201, isOrderly: true },
  { name: 'login', nvIndex: 0x01d10203, isOrderly: true },
]

const TPM_ALG_SHA256 = 0x000b
const TPM_ALG_RSA = 0x0001
const TPM_ALG_NULL = 0x0010
const TPM_CC_POLICY_AUTHORIZE = 0x0000016a
const TPM_CC_POLICY_OR = 0x00000171
const TPM_CC_POLICY_NV_WRITTEN = 0x0000018f
const DEFAULT_EXPONENT = 65_537
/** decrypt, sign, userWithAuth: what systemd loads the key of a PCR policy with. */
const KEY_ATTRIBUTES = 0x00060040
/** POLICYWRITE, NT=EXTEND, OWNERREAD, AUTHREAD, CLEAR_STCLEAR; and WRITTEN, since the name is taken after the first extend. */
const NV_ATTRIBUTES = 0x08060048
const NV_ORDERLY = 0x04000000
const NV_WRITTEN = 0x20000000
const NV_BYTES = 32
const POLICY_REFERENCE = 'initrd'
const NO_POLICY = new Uint8Array(32)

/**
 * `nvpcr-init:<name>:0x<index>:<NV name>`, measured when systemd 262 sets up an NvPCR: a function of its definition and
 * of the key in `.pcrpkey` alone. Keys other than RSA are `MALFORMED_INPUT`.
 */
export function nvpcrWord(nvpcr: Nvpcr, pcrPublicKey: Uint8Array): string {
  const name = Buffer.from(nvpcrName(nvpcr, pcrPublicKey)).toString('hex')
  return `nvpcr-init:${nvpcr.name}:0x${nvpcr.nvIndex.toString(16)}:${name}`
}

/** TPM 2.0 part 1, 16: the algorithm and digest of the public area. */
function nvpcrName({ nvIndex, isOrderly }: Nvpcr, pcrPublicKey: Uint8Array): Uint8Array {
  const attributes = NV_ATTRIBUTES + NV_WRITTEN + (isOrderly ? NV_ORDERLY : 0)
  const policy = writePolicy(pcrPublicKey)
  const area = [u32(nvIndex), u16(TPM_ALG_SHA256), u32(attributes), sized(policy), u16(NV_BYTES)]
  return Buffer.concat([u16(TPM_ALG_SHA256), sha256(...area)])
}

/** Written by who has a signature for the initrd's PCR values, or by anybody once it is written: extending only adds. */
function writePolicy(pcrPublicKey: Uint8Array): Uint8Array {
  const named = sha256(NO_POLICY, u32(TPM_CC_POLICY_AUTHORIZE), keyName(pcrPublicKey))
  const authorized = sha256(named, sha256(Buffer.from(POLICY_REFERENCE)))
  const written = sha256(NO_POLICY, u32(TPM_CC_POLICY_NV_WRITTEN), Buffer.of(1))
  return sha256(NO_POLICY, u32(TPM_CC_POLICY_OR), authorized, written)
}

function keyName(pem: Uint8Array): Uint8Array {
  const { modulus, exponent } = rsaKey(pem)
  const head = [u16(TPM_ALG_RSA), u16(TPM_ALG_SHA256), u32(KEY_ATTRIBUTES), u16(0)]
  const parameters = [u16(TPM_ALG_NULL), u16(TPM_ALG_NULL), u16(modulus.byteLength * 8), u32(exponent)]
  return Buffer.concat([u16(TPM_ALG_SHA256), sha256(...head, ...parameters, sized(modulus))])
}

function rsaKey(pem: Uint8Array): { modulus: Uint8Array; exponent: number } {
  try {
    const { kty, n = '', e = '' } = createPublicKey(Buffer.from(pem)).export({ format: 'jwk' })
    if (kty !== 'RSA') throw new Error(`it is of type ${kty}, expected RSA`)
    const exponent = Number.parseInt(Buffer.from(e, 'base64url').toString('hex'), 16)
    return { modulus: Buffer.from(n, 'base64url'), exponent: exponent || DEFAULT_EXPONENT }
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : String(cause)
    throw new BootwrightError('MALFORMED_INPUT', `Cannot read the public key in .pcrpkey: ${problem}`, {
      cause,
      hint: 'NvPCRs can be predicted for RSA keys in PEM form only.',
      detail: { what: '.pcrpkey', field: 'key', offset: 0 },
    })
  }
}

function sha256(...parts: readonly Uint8Array[]): Uint8Array {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return hash.digest()
}

/** TPM structures are big-endian. */
function u16(value: number): Uint8Array {
  return Buffer.of(value >> 8, value & 0xff)
}

function u32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

function sized(bytes: Uint8Array): Uint8Array {
  return Buffer.concat([u16(bytes.byteLength), bytes])
}
