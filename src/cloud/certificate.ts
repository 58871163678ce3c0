import { createPublicKey, type KeyObject, sign } from 'node:crypto'
import {
  derBitString,
  derBoolean,
  derInteger,
  derNull,
  derObjectIdentifier,
  derOctetString,
  derSequence,
  derSet,
  derTime,
  derUtf8String,
  writeDer,
} from '../formats/index.ts'

export interface Subject {
  readonly organization: string
  /** Organizational units, by which some clouds say what a certificate is for. */
  readonly units?: readonly string[]
  readonly commonName: string
}

/** Who certifies: itself, without an issuer; then it may certify others as well. */
export interface CertificateRequest {
  readonly subject: Subject
  readonly privateKey: KeyObject
  readonly issuer: { readonly subject: Subject; readonly privateKey: KeyObject } | undefined
  readonly serialNumber: Uint8Array
  readonly notBeforeMs: number
  readonly notAfterMs: number
}

const SHA256_WITH_RSA = '1.2.840.113549.1.1.11'

/** An X.509 certificate in DER (RFC 5280), signed with RSA and SHA-256. */
export function certificate(request: CertificateRequest): Buffer {
  const { subject, privateKey, issuer, serialNumber, notBeforeMs, notAfterMs } = request
  const algorithm = derSequence(derObjectIdentifier(SHA256_WITH_RSA), derNull())
  const isAuthority = issuer === undefined
  const toBeSigned = derSequence(
    writeDer(0xa0, derInteger(2)),
    derInteger(serialNumber),
    algorithm,
    nameOf(issuer?.subject ?? subject),
    derSequence(derTime(notBeforeMs), derTime(notAfterMs)),
    nameOf(subject),
    createPublicKey(privateKey).export({ type: 'spki', format: 'der' }),
    writeDer(0xa3, derSequence(basicConstraints(isAuthority), keyUsage(isAuthority))),
  )
  const signature = sign('sha256', toBeSigned, issuer?.privateKey ?? privateKey)
  return derSequence(toBeSigned, algorithm, derBitString(signature))
}

function nameOf({ organization, units = [], commonName }: Subject): Buffer {
  const attribute = (oid: string, text: string) => derSet(derSequence(derObjectIdentifier(oid), derUtf8String(text)))
  return derSequence(
    attribute('2.5.4.10', organization),
    ...units.map((unit) => attribute('2.5.4.11', unit)),
    attribute('2.5.4.3', commonName),
  )
}

/** RFC 5280, 4.2.1.9. */
function basicConstraints(isAuthority: boolean): Buffer {
  return derSequence(
    derObjectIdentifier('2.5.29.19'),
    derBoolean(true),
    derOctetString(isAuthority ? derSequence(derBoolean(true)) : derSequence()),
  )
}

/** RFC 5280, 4.2.1.3: keyCertSign and cRLSign, or digitalSignature. */
function keyUsage(isAuthority: boolean): Buffer {
  const bits = isAuthority ? [1, 0x06] : [7, 0x80]
  return derSequence(
    derObjectIdentifier('2.5.29.15'),
    derBoolean(true),
    derOctetString(writeDer(0x03, Buffer.from(bits))),
  )
}
