import { createHash, type webcrypto } from 'node:crypto'
import { BANK_ALGORITHMS } from './algorithms.ts'
import { u16 } from './commands.ts'
import { readHash } from './hash-names.ts'
import { TpmReader } from './tpm-reader.ts'

const ALG_RSA = 0x0001
const ALG_NULL = 0x0010
const ALG_RSAES = 0x0015
const ALG_ECDAA = 0x001a
const ALG_ECC = 0x0023
const DEFAULT_EXPONENT = 65_537
const CURVES: Readonly<Record<number, { readonly name: string; readonly bytes: number }>> = {
  3: { name: 'P-256', bytes: 32 },
  4: { name: 'P-384', bytes: 48 },
  5: { name: 'P-521', bytes: 66 },
}

/** TPMA_OBJECT, as far as it matters for whether a key can be trusted (TPM 2.0 Part 2, 8.3). */
export const OBJECT_ATTRIBUTES = {
  fixedTPM: 1 << 1,
  fixedParent: 1 << 4,
  sensitiveDataOrigin: 1 << 5,
  userWithAuth: 1 << 6,
  adminWithPolicy: 1 << 7,
  noDA: 1 << 10,
  restricted: 1 << 16,
  decrypt: 1 << 17,
  sign: 1 << 18,
} as const

/** What a TPM tells of a key (TPMT_PUBLIC). */
export interface PublicArea {
  readonly attributes: number
  readonly publicKey: webcrypto.JsonWebKey
  /** The number of the hash, then the hash over the whole: who changes anything of a key changes its name. */
  readonly name: Buffer
}

/** Reads TPMT_PUBLIC of an RSA or ECC key (TPM 2.0 Part 2, 12.2.4). */
export function parsePublicArea(bytes: Uint8Array): PublicArea {
  const area = new TpmReader(bytes, 'TPMT_PUBLIC')
  const type = area.u16('type')
  if (type !== ALG_RSA && type !== ALG_ECC)
    throw area.malformed('type', `0x${type.toString(16)} is neither RSA nor ECC`)
  const nameHash = readHash(area, 'nameAlg')
  const attributes = area.u32('objectAttributes')
  area.sized('authPolicy')
  if (area.u16('symmetric') !== ALG_NULL) {
    area.u16('keyBits of symmetric')
    area.u16('mode of symmetric')
  }
  const scheme = area.u16('scheme')
  if (scheme !== ALG_NULL && scheme !== ALG_RSAES) area.u16('hash of the scheme')
  if (scheme === ALG_ECDAA) area.u16('count of the scheme')
  const publicKey = type === ALG_RSA ? rsaKey(area) : eccKey(area)
  area.end('unique')
  const name = Buffer.concat([u16(BANK_ALGORITHMS[nameHash].id), createHash(nameHash).update(bytes).digest()])
  return { attributes, publicKey, name }
}

function rsaKey(area: TpmReader): webcrypto.JsonWebKey {
  const bits = area.u16('keyBits')
  const exponent = area.u32('exponent') || DEFAULT_EXPONENT
  const modulus = area.sized('modulus')
  if (modulus.length * 8 !== bits) throw area.malformed('modulus', `${modulus.length} bytes are not ${bits} bits`)
  const e = Buffer.from(
    exponent
      .toString(16)
      .padStart(8, '0')
      .replace(/^(00)+/, ''),
    'hex',
  )
  return { kty: 'RSA', n: modulus.toString('base64url'), e: e.toString('base64url') }
}

function eccKey(area: TpmReader): webcrypto.JsonWebKey {
  const id = area.u16('curveID')
  const curve = CURVES[id]
  if (curve === undefined) throw area.malformed('curveID', `0x${id.toString(16)} is none of P-256, P-384 and P-521`)
  if (area.u16('kdf') !== ALG_NULL) area.u16('hash of the kdf')
  const coordinate = (field: string): string => {
    const bytes = area.sized(field)
    if (bytes.length > curve.bytes) throw area.malformed(field, `${bytes.length} bytes are no number of ${curve.name}`)
    // A TPM may leave zeros in front of it away.
    return Buffer.concat([Buffer.alloc(curve.bytes - bytes.length), bytes]).toString('base64url')
  }
  return { kty: 'EC', crv: curve.name, x: coordinate('x'), y: coordinate('y') }
}
