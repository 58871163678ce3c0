import { createPublicKey, type webcrypto, X509Certificate } from 'node:crypto'
import type { EndorsementAuthority } from './authority.ts'

/** tcg-kp-EKCertificate (TCG EK Credential Profile 2.6, 3.2.16). */
const EK_CERTIFICATE = '2.23.133.8.1'

/** What is wrong with the certificate of an endorsement key, a sentence each; nothing when it can be trusted. */
export function endorsementProblems(
  certificate: X509Certificate,
  { issuer, root }: Pick<EndorsementAuthority, 'issuer' | 'root'>,
  at: Date = new Date(),
): string[] {
  const problems: string[] = []
  const chain = [
    { what: 'it', of: certificate, by: issuer, name: 'the issuer' },
    { what: 'the issuer', of: issuer, by: root, name: 'the root' },
    { what: 'the root', of: root, by: root, name: 'itself' },
  ]
  for (const { what, of, by, name } of chain) {
    if (!of.checkIssued(by) || !of.verify(by.publicKey)) problems.push(`${what} is not signed by ${name}`)
    if (at < of.validFromDate || at > of.validToDate) problems.push(`${what} is not valid at ${at.toISOString()}`)
  }
  for (const authority of [issuer, root]) if (!authority.ca) problems.push('one that signs is no authority')
  if (certificate.ca) problems.push('it is the certificate of an authority')
  if (certificate.keyUsage?.includes(EK_CERTIFICATE) !== true) problems.push('it is not for an endorsement key')
  return problems
}

/** Whether a certificate is about this key. */
export function certifies(certificate: X509Certificate, publicKey: webcrypto.JsonWebKey): boolean {
  return certificate.publicKey.equals(createPublicKey({ key: publicKey, format: 'jwk' }))
}

/** Undefined for bytes that are no certificate. */
export function endorsementCertificate(der: Uint8Array): X509Certificate | undefined {
  try {
    return new X509Certificate(der)
  } catch {
    return undefined
  }
}
