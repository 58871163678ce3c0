import { createHash, type webcrypto } from 'node:crypto'
import { BootwrightError } from '../system/index.ts'
import type { AttestationKey } from './attestation-key.ts'
import { type AttestedPcrs, parseAttestedPcrs } from './attested.ts'
import { sized, u16 } from './commands.ts'
import { execute, PASSWORD, pcrSelection, type TpmSend } from './execute.ts'
import { isSignedBy, readSignature, type TpmSignature } from './signature.ts'
import type { PcrBank } from './swtpm.ts'

const CC_QUOTE = 0x158
const ALG_NULL = 0x0010
const PCR_COUNT = 24
/** Every TPM takes as much: TPM2B_DATA has room for its largest hash. */
export const MAX_NONCE_BYTES = 32

/** What a TPM says of its PCRs, signed (TPM 2.0 Part 3, TPM2_Quote). */
export interface Quote extends AttestedPcrs {
  /** TPMS_ATTEST, as signed. */
  readonly attested: Buffer
  readonly signature: TpmSignature
  readonly publicKey: webcrypto.JsonWebKey
}

/** What somebody wanted to know. */
export interface QuoteQuestion {
  readonly nonce: Uint8Array
  readonly bank: PcrBank
  readonly pcrs: readonly number[]
}

/**
 * Has the TPM sign its PCRs. What it says is true only if {@link checkQuote} holds. `INVALID_ARGUMENT` for a PCR that
 * there is not, or a nonce of more than 32 bytes.
 */
export async function takeQuote(
  send: TpmSend,
  { handle, publicKey }: AttestationKey,
  { nonce, bank, pcrs }: QuoteQuestion,
): Promise<Quote> {
  if (nonce.byteLength > MAX_NONCE_BYTES) {
    throw new BootwrightError('INVALID_ARGUMENT', `Expected a nonce of at most 32 bytes, found ${nonce.byteLength}`)
  }
  for (const pcr of pcrs) {
    if (!Number.isInteger(pcr) || pcr < 0 || pcr >= PCR_COUNT) {
      throw new BootwrightError('INVALID_ARGUMENT', `Expected PCRs from 0 to ${PCR_COUNT - 1}, found ${pcr}`)
    }
  }
  const { answer } = await execute(send, {
    name: 'TPM2_Quote',
    code: CC_QUOTE,
    handles: [handle],
    sessions: [PASSWORD],
    parameters: [sized(nonce), u16(ALG_NULL), pcrSelection(bank, pcrs)],
  })
  const attested = Buffer.from(answer.sized('quoted'))
  const signature = readSignature(answer)
  return { ...parseAttestedPcrs(attested), attested, signature, publicKey }
}

/** Rejects with `GUEST_COMMAND_FAILED` a quote that its key has not signed, or that answers another question. */
export function checkQuote(quote: Quote, asked: QuoteQuestion): void {
  const problems: string[] = []
  if (!isSignedBy(quote.publicKey, quote.attested, quote.signature)) {
    problems.push('its signature is not that of its key')
  }
  if (!quote.nonce.equals(asked.nonce)) problems.push('it has another nonce')
  const wanted = `${asked.bank} ${[...new Set(asked.pcrs)].sort((a, b) => a - b)}`
  const found = quote.selections.map(({ bank, pcrs }) => `${bank} ${pcrs}`).join(' and ')
  if (found !== wanted) problems.push(`it is about PCRs ${found}, not ${wanted}`)
  if (problems.length === 0) return
  throw new BootwrightError('GUEST_COMMAND_FAILED', `The quote of the TPM cannot be trusted: ${problems.join('; ')}`)
}

/**
 * What `pcrDigest` of a quote is for these values (hexadecimal), given in the order of its selections and of their PCRs.
 *
 * @param hash that of the signature
 */
export function quotedDigest(values: readonly string[], hash: PcrBank = 'sha256'): Buffer {
  const digest = createHash(hash)
  for (const value of values) digest.update(value, 'hex')
  return digest.digest()
}
