import { createHash, createPublicKey, verify, type webcrypto } from 'node:crypto'
import { BootwrightError } from '../system/index.ts'
import { BANK_ALGORITHMS } from './algorithms.ts'
import { checkResponse, command, EMPTY_PASSWORD, HEADER_BYTES, ST_SESSIONS, sized, u16, words } from './commands.ts'
import { pcrSelection } from './execute.ts'
import type { PcrBank } from './swtpm.ts'
import { TpmReader } from './tpm-reader.ts'

/** TPM 2.0 Part 2: constants of the structures below. */
const CC_CREATE_PRIMARY = 0x131
const CC_QUOTE = 0x158
const RH_ENDORSEMENT = 0x4000000b
const ALG_SHA256 = 0x000b
const ALG_NULL = 0x0010
const ALG_ECDSA = 0x0018
const ALG_ECC = 0x0023
const ECC_NIST_P256 = 0x0003
const GENERATED_VALUE = 0xff544347
const ST_ATTEST_QUOTE = 0x8018
/** fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, noDA, restricted, sign: it signs what the TPM itself says. */
const ATTESTATION_KEY = (1 << 1) | (1 << 4) | (1 << 5) | (1 << 6) | (1 << 10) | (1 << 16) | (1 << 18)
const P256_BYTES = 32
const PCR_COUNT = 24
const MAX_NONCE_BYTES = 32

/** A key that only signs what its TPM says, by its handle while the TPM holds it. */
export interface AttestationKey {
  readonly handle: number
  readonly publicKey: webcrypto.JsonWebKey
}

/** What a TPM says of its PCRs, signed (TPM 2.0 Part 3, TPM2_Quote). */
export interface Quote {
  /** What was asked along: an old quote does not have it. */
  readonly nonce: Buffer
  readonly bank: PcrBank
  /** In ascending order. */
  readonly pcrs: readonly number[]
  /** SHA-256 over the values of these PCRs, one after the other: {@link quotedDigest}. */
  readonly pcrDigest: Buffer
  /** How often the TPM was reset, and how often it went on after its state was saved. */
  readonly resetCount: number
  readonly restartCount: number
  /** TPMS_ATTEST, as signed. */
  readonly attested: Buffer
  /** ECDSA over SHA-256: r, then s, 32 bytes each. */
  readonly signature: Buffer
  readonly publicKey: webcrypto.JsonWebKey
}

/** Makes the attestation key of the endorsement hierarchy: the same one each time, as long as the TPM is the same. */
export function attestationKeyCommand(): Buffer {
  const area = Buffer.concat([
    u16(ALG_ECC, ALG_SHA256),
    words(ATTESTATION_KEY),
    sized(),
    // No symmetric algorithm, ECDSA with SHA-256 on P-256, no key derivation; X and Y are up to the TPM.
    u16(ALG_NULL, ALG_ECDSA, ALG_SHA256, ECC_NIST_P256, ALG_NULL),
    sized(),
    sized(),
  ])
  const sensitive = sized(sized(), sized())
  return command(
    ST_SESSIONS,
    CC_CREATE_PRIMARY,
    Buffer.concat([words(RH_ENDORSEMENT), EMPTY_PASSWORD, sensitive, sized(area), sized(), words(0)]),
  )
}

/** Reads the answer to {@link attestationKeyCommand}. */
export function parseAttestationKey(response: Uint8Array): AttestationKey {
  checkResponse('TPM2_CreatePrimary', response)
  const reader = new TpmReader(response, 'TPM2_CreatePrimary')
  reader.bytes(HEADER_BYTES, 'header')
  const handle = reader.u32('objectHandle')
  reader.u32('parameterSize')
  const area = new TpmReader(reader.sized('outPublic'), 'TPMT_PUBLIC')
  area.expect(area.u16('type'), ALG_ECC, 'type')
  area.expect(area.u16('nameAlg'), ALG_SHA256, 'nameAlg')
  area.u32('objectAttributes')
  area.sized('authPolicy')
  for (const [field, expected] of SCHEME) area.expect(area.u16(field), expected, field)
  const coordinate = (field: string) => padded(area.sized(field), area, field).toString('base64url')
  return { handle, publicKey: { kty: 'EC', crv: 'P-256', x: coordinate('x'), y: coordinate('y') } }
}

const SCHEME = [
  ['symmetric', ALG_NULL],
  ['scheme', ALG_ECDSA],
  ['hash of the scheme', ALG_SHA256],
  ['curveID', ECC_NIST_P256],
  ['kdf', ALG_NULL],
] as const

/** Asks for a quote. `INVALID_ARGUMENT` for a PCR that there is not, or a nonce of more than 32 bytes. */
export function quoteCommand(handle: number, nonce: Uint8Array, bank: PcrBank, pcrs: readonly number[]): Buffer {
  // Every TPM takes as much: TPM2B_DATA has room for its largest hash.
  if (nonce.byteLength > MAX_NONCE_BYTES) {
    throw new BootwrightError('INVALID_ARGUMENT', `Expected a nonce of at most 32 bytes, found ${nonce.byteLength}`)
  }
  for (const pcr of pcrs) {
    if (!Number.isInteger(pcr) || pcr < 0 || pcr >= PCR_COUNT) {
      throw new BootwrightError('INVALID_ARGUMENT', `Expected PCRs from 0 to ${PCR_COUNT - 1}, found ${pcr}`)
    }
  }
  return command(
    ST_SESSIONS,
    CC_QUOTE,
    Buffer.concat([words(handle), EMPTY_PASSWORD, sized(nonce), u16(ALG_NULL), pcrSelection(bank, pcrs)]),
  )
}

/** Reads the answer to {@link quoteCommand}. What it says is true only if {@link checkQuote} holds. */
export function parseQuote(response: Uint8Array, publicKey: webcrypto.JsonWebKey): Quote {
  checkResponse('TPM2_Quote', response)
  const reader = new TpmReader(response, 'TPM2_Quote')
  reader.bytes(HEADER_BYTES, 'header')
  reader.u32('parameterSize')
  const attested = reader.sized('quoted')
  reader.expect(reader.u16('sigAlg'), ALG_ECDSA, 'sigAlg')
  reader.expect(reader.u16('hash'), ALG_SHA256, 'hash')
  const [r, s] = [reader.sized('signatureR'), reader.sized('signatureS')]
  const signature = Buffer.concat([padded(r, reader, 'signatureR'), padded(s, reader, 'signatureS')])

  const attest = new TpmReader(attested, 'TPMS_ATTEST')
  attest.expect(attest.u32('magic'), GENERATED_VALUE, 'magic')
  attest.expect(attest.u16('type'), ST_ATTEST_QUOTE, 'type')
  attest.sized('qualifiedSigner')
  const nonce = attest.sized('extraData')
  attest.u64('clock')
  const resetCount = attest.u32('resetCount')
  const restartCount = attest.u32('restartCount')
  attest.u8('safe')
  attest.u64('firmwareVersion')
  attest.expect(attest.u32('count of PCR selections'), 1, 'count of PCR selections')
  const algorithm = attest.u16('bank')
  const bank = Object.entries(BANK_ALGORITHMS).find(([, { id }]) => id === algorithm)?.[0] as PcrBank | undefined
  if (bank === undefined) throw attest.malformed('bank', `no bank has the algorithm 0x${algorithm.toString(16)}`)
  const selected = attest.bytes(attest.u8('sizeofSelect'), 'pcrSelect')
  const pcrs = Array.from({ length: selected.length * 8 }, (_, pcr) => pcr).filter(
    (pcr) => ((selected[pcr >> 3] ?? 0) & (1 << (pcr & 7))) !== 0,
  )
  const pcrDigest = attest.sized('pcrDigest')
  return { nonce, bank, pcrs, pcrDigest, resetCount, restartCount, attested, signature, publicKey }
}

/** Rejects with `GUEST_COMMAND_FAILED` a quote that its key has not signed, or that answers another question. */
export function checkQuote(
  quote: Quote,
  asked: { readonly nonce: Uint8Array; readonly bank: PcrBank; readonly pcrs: readonly number[] },
): void {
  const problems: string[] = []
  if (!isSigned(quote)) problems.push('its signature is not that of its key')
  if (!quote.nonce.equals(asked.nonce)) problems.push('it has another nonce')
  if (quote.bank !== asked.bank) problems.push(`it is about bank ${quote.bank}, not ${asked.bank}`)
  const wanted = [...new Set(asked.pcrs)].sort((a, b) => a - b)
  if (quote.pcrs.join() !== wanted.join()) problems.push(`it is about PCRs ${quote.pcrs}, not ${wanted}`)
  if (problems.length === 0) return
  throw new BootwrightError('GUEST_COMMAND_FAILED', `The quote of the TPM cannot be trusted: ${problems.join('; ')}`)
}

/** What {@link Quote.pcrDigest} is for these values (hexadecimal), given in ascending order of their PCRs. */
export function quotedDigest(values: readonly string[]): Buffer {
  const hash = createHash('sha256')
  for (const value of values) hash.update(value, 'hex')
  return hash.digest()
}

function isSigned({ attested, signature, publicKey }: Quote): boolean {
  try {
    const key = createPublicKey({ key: publicKey, format: 'jwk' })
    return verify('sha256', attested, { key, dsaEncoding: 'ieee-p1363' }, signature)
  } catch {
    // Not a point of the curve.
    return false
  }
}

/** A number of the curve: a TPM may leave zeros in front of it away. */
function padded(bytes: Buffer, reader: TpmReader, field: string): Buffer {
  if (bytes.length > P256_BYTES) throw reader.malformed(field, `${bytes.length} bytes are no number of P-256`)
  return Buffer.concat([Buffer.alloc(P256_BYTES - bytes.length), bytes])
}
