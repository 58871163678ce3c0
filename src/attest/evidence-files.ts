import { createPublicKey, type webcrypto } from 'node:crypto'
import { BootwrightError } from '../system/index.ts'
import { parseAttestedPcrs, parsePublicArea, parseSignature, type Quote, signatureBytes } from '../tpm/index.ts'
import type { GatheredEvidence } from './gather.ts'
import { pcrFile } from './pcr-file.ts'

const PEM = '-----BEGIN'

/** A quote as tpm2_quote writes it: `--message` (TPMS_ATTEST), `--signature` (TPMT_SIGNATURE), and the key. */
export function parseQuoteFiles(message: Uint8Array, signature: Uint8Array, key: Uint8Array): Quote {
  const attested = Buffer.from(message)
  return {
    ...parseAttestedPcrs(attested),
    attested,
    signature: parseSignature(signature),
    publicKey: parsePublicKey(key),
  }
}

/** A public key as tpm2_createak or tpm2_readpublic writes it: PEM, TPM2B_PUBLIC (`--format=tss`) or TPMT_PUBLIC (`tpmt`). */
export function parsePublicKey(bytes: Uint8Array): webcrypto.JsonWebKey {
  const buffer = Buffer.from(bytes)
  if (buffer.toString('latin1', 0, PEM.length) === PEM) {
    try {
      return createPublicKey(buffer).export({ format: 'jwk' })
    } catch (cause) {
      throw new BootwrightError('MALFORMED_INPUT', `Expected a public key in PEM: ${(cause as Error).message}`, {
        cause,
      })
    }
  }
  const isSized = buffer.length > 2 && buffer.readUInt16BE(0) === buffer.length - 2
  return parsePublicArea(isSized ? buffer.subarray(2) : buffer).publicKey
}

/** Evidence as files that tpm2_checkquote reads, and the logs, by name. */
export function evidenceFiles(evidence: GatheredEvidence): ReadonlyMap<string, Uint8Array | string> {
  const { quote, values, endorsement, firmwareLog, userspaceLog } = evidence
  const key = createPublicKey({ key: quote.publicKey, format: 'jwk' }).export({ type: 'spki', format: 'pem' })
  const json = Object.fromEntries([...(values ?? [])].map(([bank, ofBank]) => [bank, Object.fromEntries(ofBank)]))
  return new Map<string, Uint8Array | string>([
    ['quote.msg', quote.attested],
    ['quote.sig', signatureBytes(quote.signature)],
    ['quote.pcrs', pcrFile(quote.selections, values ?? new Map())],
    ['ak.pem', key],
    ['pcrs.json', `${JSON.stringify(json, null, 2)}\n`],
    ['event-log.bin', firmwareLog],
    ['tpm2-measure.log', userspaceLog],
    ...(endorsement === undefined ? [] : [['ek.crt', endorsement.certificate] as const]),
  ])
}
