import { createHash } from 'node:crypto'
import {
  type AuthenticodeSignature,
  type EfiSignature,
  type EfiSignatureKind,
  type EfiSignatureList,
  efiSignatureBytes,
  efiSignatureKind,
  formatGuid,
  parseAuthenticodeSignature,
  parseCertificateNames,
  WIN_CERT_TYPE_EFI_GUID,
  WIN_CERT_TYPE_PKCS_SIGNED_DATA,
  type WinCertificate,
} from '../../../formats/index.ts'
import { BootwrightError } from '../../../system/index.ts'
import { EV_EFI_VARIABLE_AUTHORITY } from '../../event-types.ts'
import type { Digests, HashAlgorithm } from '../../hash-algorithms.ts'
import type { PredictedEvent } from '../event.ts'
import { firmwareRecord, IMAGE_SECURITY_DATABASE, uefiVariableData } from './records.ts'
import type { SecureBootState } from './secure-boot.ts'
import { hashAlgorithmOfOid, isSignedUnder, signerCertificates } from './verify-signature.ts'

/** An image as far as the firmware's judgement goes. */
export interface SignedImage {
  /** From `peCertificates()`; none for an unsigned image. */
  readonly certificates: readonly WinCertificate[]
  /** Its Authenticode digests: in SHA-256, and in the algorithm of each signature. */
  readonly digests: Digests
}

/** Whether the firmware starts an image, and what decided it. */
export type ImageVerdict =
  /** Nothing is verified. */
  | { readonly verdict: 'allowed'; readonly by: 'no-secure-boot' }
  /** An entry of db: a certificate in the chain of the signature, or the image's digest. */
  | { readonly verdict: 'allowed'; readonly by: 'db-certificate' | 'db-hash'; readonly entry: EfiSignature }
  /** An entry of dbx: a certificate in the chain, the digest of one, or the image's digest. */
  | {
      readonly verdict: 'refused'
      readonly by: 'dbx-certificate' | 'dbx-certificate-hash' | 'dbx-hash'
      readonly entry: EfiSignature
    }
  /** No entry of db stands for it: it is unsigned, signed by someone else, or was changed since. */
  | { readonly verdict: 'refused'; readonly by: 'not-in-db'; readonly why: string }

/** EFI_CERT_TYPE_PKCS7_GUID. */
const PKCS7 = '4aafd29d-68df-49ee-8aa9-347d375665a7'

const CERTIFICATE_HASHES: Readonly<Partial<Record<EfiSignatureKind, HashAlgorithm>>> = {
  'x509-sha256': 'sha256',
  'x509-sha384': 'sha384',
  'x509-sha512': 'sha512',
}

/**
 * Judges an image as the firmware does (edk2, DxeImageVerificationLib): dbx first, then db; of db the first entry that
 * fits, in its order. Dates of certificates do not count. Digests of certificates in dbx are compared with the signers'
 * certificates and with the one of db that fits, not with those between them. A certificate whose revocation begins at
 * some time counts as revoked altogether: the countersignatures that could save an image are not read.
 */
export function judgeImage(image: SignedImage, state: SecureBootState): ImageVerdict {
  if (state.mode !== 'enabled') return { verdict: 'allowed', by: 'no-secure-boot' }
  if (image.certificates.length === 0) return judgeByHash(image, 'sha256', state) ?? notInDb('it is not signed')
  let allowed: ImageVerdict | undefined
  let refused = notInDb('it has no signature that the firmware could read')
  for (const certificate of image.certificates) {
    const signature = readSignature(certificate)
    const algorithm = signature === undefined ? undefined : hashAlgorithmOfOid(signature.digestAlgorithm)
    const digest = algorithm === undefined ? undefined : image.digests.get(algorithm)
    if (signature === undefined || algorithm === undefined || digest === undefined) continue
    const forbidden = forbiddenByCertificate(signature, digest, state.dbx)
    if (forbidden !== undefined) return forbidden
    const byCertificate = judgeByCertificate(signature, digest, state)
    if (byCertificate.verdict === 'allowed') allowed ??= byCertificate
    else refused = byCertificate
    const byHash = judgeByHash(image, algorithm, state)
    if (byHash?.verdict === 'refused') return byHash
    allowed ??= byHash
  }
  return allowed ?? refused
}

/**
 * The records that verdicts leave behind in PCR 7, in the order in which images are started: each directly before the
 * image's own record in PCR 4, and each entry only once in a boot. A certificate of dbx is measured as well.
 */
export function authorityEvents(verdicts: readonly ImageVerdict[]): PredictedEvent[] {
  const seen = new Set<string>()
  return verdicts.flatMap((verdict) => {
    const variable = measuredVariable(verdict)
    if (variable === undefined || !('entry' in verdict)) return []
    const bytes = uefiVariableData(IMAGE_SECURITY_DATABASE, variable, efiSignatureBytes(verdict.entry))
    const key = Buffer.from(bytes).toString('latin1')
    if (seen.has(key)) return []
    seen.add(key)
    const what = `entry of ${variable} that ${verdict.verdict === 'allowed' ? 'lets an image pass' : 'forbids an image'}`
    return [firmwareRecord({ pcr: 7, type: EV_EFI_VARIABLE_AUTHORITY, what, bytes })]
  })
}

function measuredVariable({ by }: ImageVerdict): 'db' | 'dbx' | undefined {
  if (by === 'db-certificate' || by === 'db-hash') return 'db'
  return by === 'dbx-certificate' ? 'dbx' : undefined
}

function judgeByHash(image: SignedImage, kind: HashAlgorithm, { db, dbx }: SecureBootState): ImageVerdict | undefined {
  const digest = image.digests.get(kind)
  if (digest === undefined) throw new BootwrightError('BUG', `The image's ${kind} digest is needed to judge it`)
  const forbidden = findEntry(dbx, kind, digest)
  if (forbidden !== undefined) return { verdict: 'refused', by: 'dbx-hash', entry: forbidden }
  const allowed = findEntry(db, kind, digest)
  return allowed === undefined ? undefined : { verdict: 'allowed', by: 'db-hash', entry: allowed }
}

function forbiddenByCertificate(
  signature: AuthenticodeSignature,
  digest: Uint8Array,
  dbx: readonly EfiSignatureList[],
): ImageVerdict | undefined {
  const entry = entriesOf(dbx, 'x509').find(({ data }) => isSignedUnder(data, signature, digest))
  if (entry !== undefined) return { verdict: 'refused', by: 'dbx-certificate', entry }
  const signers = signerCertificates(signature)
  if (signers === undefined) return notInDb('its signature lacks the certificate of its signer')
  for (const certificate of signers) {
    const revoked = revokedEntry(certificate, dbx)
    if (revoked !== undefined) return { verdict: 'refused', by: 'dbx-certificate-hash', entry: revoked }
  }
  return undefined
}

/** The first certificate of db that fits decides, even if it is revoked and a later one is not. */
function judgeByCertificate(
  signature: AuthenticodeSignature,
  digest: Uint8Array,
  { db, dbx }: SecureBootState,
): ImageVerdict {
  const entry = entriesOf(db, 'x509').find(({ data }) => isSignedUnder(data, signature, digest))
  if (entry === undefined) {
    const isUnchanged = Buffer.from(signature.imageDigest).equals(digest)
    return notInDb(isUnchanged ? 'no certificate of its signature is in db' : 'it was changed after it was signed')
  }
  const revoked = revokedEntry(entry.data, dbx)
  return revoked === undefined
    ? { verdict: 'allowed', by: 'db-certificate', entry }
    : { verdict: 'refused', by: 'dbx-certificate-hash', entry: revoked }
}

function revokedEntry(certificate: Uint8Array, dbx: readonly EfiSignatureList[]): EfiSignature | undefined {
  const { toBeSigned } = parseCertificateNames(certificate)
  for (const [kind, algorithm] of Object.entries(CERTIFICATE_HASHES) as [EfiSignatureKind, HashAlgorithm][]) {
    const digest = createHash(algorithm).update(toBeSigned).digest()
    // The digest is followed by the time of the revocation.
    const entry = entriesOf(dbx, kind).find(({ data }) => digest.equals(data.subarray(0, digest.byteLength)))
    if (entry !== undefined) return entry
  }
  return undefined
}

function findEntry(
  lists: readonly EfiSignatureList[],
  kind: EfiSignatureKind,
  digest: Uint8Array,
): EfiSignature | undefined {
  return entriesOf(lists, kind).find(({ data }) => Buffer.from(digest).equals(data))
}

function entriesOf(lists: readonly EfiSignatureList[], kind: EfiSignatureKind): EfiSignature[] {
  return lists.filter(({ type }) => efiSignatureKind(type) === kind).flatMap(({ signatures }) => signatures)
}

/** Undefined for a certificate of another kind, and for one that is damaged: the firmware goes on to the next. */
function readSignature({ type, content, offset }: WinCertificate): AuthenticodeSignature | undefined {
  let bytes = content
  let base = offset
  if (type === WIN_CERT_TYPE_EFI_GUID) {
    if (content.byteLength <= 16 || formatGuid(content.subarray(0, 16)) !== PKCS7) return undefined
    bytes = content.subarray(16)
    base += 16
  } else if (type !== WIN_CERT_TYPE_PKCS_SIGNED_DATA) {
    return undefined
  }
  try {
    return parseAuthenticodeSignature(bytes, base)
  } catch (error) {
    if (error instanceof BootwrightError && error.code === 'MALFORMED_INPUT') return undefined
    throw error
  }
}

function notInDb(why: string): ImageVerdict {
  return { verdict: 'refused', by: 'not-in-db', why }
}
