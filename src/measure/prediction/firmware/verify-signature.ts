import { createHash, verify, X509Certificate } from 'node:crypto'
import { type AuthenticodeSignature, type AuthenticodeSigner, parseCertificateNames } from '../../../formats/index.ts'
import { BootwrightError } from '../../../system/index.ts'
import type { HashAlgorithm } from '../../hash-algorithms.ts'

const DIGESTS: Readonly<Record<string, HashAlgorithm>> = {
  '1.3.14.3.2.26': 'sha1',
  '2.16.840.1.101.3.4.2.1': 'sha256',
  '2.16.840.1.101.3.4.2.2': 'sha384',
  '2.16.840.1.101.3.4.2.3': 'sha512',
}

/** A chain of real signatures has four certificates or less. */
const MAX_CHAIN_LENGTH = 8
/** Each certificate may be tried as the issuer of each other one. */
const MAX_CERTIFICATES = 32

/** The bank that a digest algorithm's OID stands for; undefined for one that no firmware here knows. */
export function hashAlgorithmOfOid(oid: string): HashAlgorithm | undefined {
  return DIGESTS[oid]
}

/** The certificate of each signer, in DER; undefined when the signature lacks one of them. */
export function signerCertificates(signature: AuthenticodeSignature): readonly Uint8Array[] | undefined {
  const all = readCertificates(signature)
  const found = signature.signers.map((signer) => all.find((certificate) => isOf(certificate, signer))?.raw)
  return found.every((certificate) => certificate !== undefined) && found.length > 0 ? found : undefined
}

/**
 * Whether a signature over an image is good, and whether `anchor`, a certificate in DER, is in the chain of each signer.
 * As the firmware, this asks neither for a root nor for dates: any certificate of the chain can be the anchor.
 */
export function isSignedUnder(anchor: Uint8Array, signature: AuthenticodeSignature, imageDigest: Uint8Array): boolean {
  const trusted = readCertificate(anchor)
  if (trusted === undefined || signature.signers.length === 0) return false
  if (!Buffer.from(signature.imageDigest).equals(imageDigest)) return false
  const all = readCertificates(signature)
  return signature.signers.every((signer) => {
    const own = all.find((certificate) => isOf(certificate, signer))
    return own !== undefined && isSignatureOf(own, signer, signature.signedContent) && leadsTo(own, trusted, all)
  })
}

function leadsTo(
  certificate: X509Certificate,
  trusted: X509Certificate,
  all: readonly X509Certificate[],
  visited: readonly X509Certificate[] = [],
): boolean {
  if (certificate.raw.equals(trusted.raw) || hasIssued(trusted, certificate)) return true
  if (visited.length === MAX_CHAIN_LENGTH) return false
  const seen = [...visited, certificate]
  const issuer = all.find((candidate) => !seen.includes(candidate) && hasIssued(candidate, certificate))
  return issuer !== undefined && leadsTo(issuer, trusted, all, seen)
}

function hasIssued(issuer: X509Certificate, certificate: X509Certificate): boolean {
  const isAuthority = issuer.ca || issuer.subject === issuer.issuer
  return isAuthority && certificate.checkIssued(issuer) && orFalse(() => certificate.verify(issuer.publicKey))
}

function isSignatureOf(certificate: X509Certificate, signer: AuthenticodeSigner, content: Uint8Array): boolean {
  const digest = hashAlgorithmOfOid(signer.digestAlgorithm)
  if (digest === undefined) return false
  if (signer.signedAttributes !== undefined) {
    const expected = createHash(digest).update(content).digest()
    if (signer.messageDigest === undefined || !expected.equals(signer.messageDigest)) return false
  }
  const signed = signer.signedAttributes ?? content
  return orFalse(() => verify(digest, signed, certificate.publicKey, signer.signature))
}

function isOf(certificate: X509Certificate, signer: AuthenticodeSigner): boolean {
  const { issuer, serialNumber } = parseCertificateNames(certificate.raw)
  return Buffer.from(issuer).equals(signer.issuer) && Buffer.from(serialNumber).equals(signer.serialNumber)
}

function readCertificates({ certificates }: AuthenticodeSignature): X509Certificate[] {
  return certificates
    .slice(0, MAX_CERTIFICATES)
    .map(readCertificate)
    .filter((certificate) => certificate !== undefined)
}

/** Undefined for bytes that are no certificate: the firmware takes no notice of those either. */
function readCertificate(bytes: Uint8Array): X509Certificate | undefined {
  try {
    parseCertificateNames(bytes)
    return new X509Certificate(bytes)
  } catch (error) {
    if (error instanceof BootwrightError && error.code !== 'MALFORMED_INPUT') throw error
    return undefined
  }
}

/** OpenSSL throws where a key cannot have made such a signature at all. */
function orFalse(check: () => boolean): boolean {
  try {
    return check()
  } catch {
    return false
  }
}
