import { ByteReader } from './byte-reader.ts'
import {
  DER_INTEGER,
  DER_OCTET_STRING,
  DER_OID,
  DER_SEQUENCE,
  DER_SET,
  type DerElement,
  derChild,
  derChildren,
  derOid,
  parseDer,
} from './der.ts'
import { malformed } from './malformed.ts'
import type { PeFile } from './pe.ts'

/** One WIN_CERTIFICATE of a PE file's certificate table. */
export interface WinCertificate {
  readonly revision: number
  /** 0x0002 PKCS#7 signed data, 0x0ef1 a type given by a GUID. */
  readonly type: number
  /** Offset of `content` in the file. */
  readonly offset: number
  readonly content: Uint8Array
}

export const WIN_CERT_TYPE_PKCS_SIGNED_DATA = 0x0002
export const WIN_CERT_TYPE_EFI_GUID = 0x0ef1

/** An Authenticode signature: PKCS#7 signed data over the digest of an image. Parsed, not verified. */
export interface AuthenticodeSignature {
  /** The hash algorithm of the image's digest, as dotted OID. */
  readonly digestAlgorithm: string
  /** The image's digest that was signed. */
  readonly imageDigest: Uint8Array
  /** What the messageDigest attribute is the digest of: the content of SpcIndirectDataContent. */
  readonly signedContent: Uint8Array
  /** Certificates in DER, in the order of the signature. */
  readonly certificates: readonly Uint8Array[]
  readonly signers: readonly AuthenticodeSigner[]
}

/** SignerInfo (RFC 2315, 9.2). */
export interface AuthenticodeSigner {
  /** Name of the certificate's issuer, in DER. */
  readonly issuer: Uint8Array
  /** Content of the certificate's serial number. */
  readonly serialNumber: Uint8Array
  /** As dotted OID. */
  readonly digestAlgorithm: string
  /** As dotted OID: `rsaEncryption`, or one that names the digest too. */
  readonly signatureAlgorithm: string
  /** The authenticated attributes as they are signed: with the tag of a SET. Undefined when the content itself is signed. */
  readonly signedAttributes: Uint8Array | undefined
  /** The messageDigest attribute. */
  readonly messageDigest: Uint8Array | undefined
  readonly signature: Uint8Array
}

/** A certificate as far as it has to be known to find it: the rest is for node:crypto. */
export interface CertificateNames {
  readonly issuer: Uint8Array
  readonly serialNumber: Uint8Array
  /** TBSCertificate in DER: what x509-sha256 entries of dbx are digests of. */
  readonly toBeSigned: Uint8Array
}

const TABLE = 'certificate table'
const SIGNATURE = 'Authenticode signature'
const WIN_CERTIFICATE_HEADER_SIZE = 8
const SIGNED_DATA = '1.2.840.113549.1.7.2'
const SPC_INDIRECT_DATA = '1.3.6.1.4.1.311.2.1.4'
const MESSAGE_DIGEST = '1.2.840.113549.1.9.4'
const CONTEXT_0 = 0xa0

/** The certificates at the end of a signed PE file; none of an unsigned one. `file` are the bytes that `pe` was parsed from. */
export function peCertificates(pe: PeFile, file: Uint8Array): WinCertificate[] {
  if (pe.certificateTable === undefined) return []
  const { offset: base, size } = pe.certificateTable
  const reader = new ByteReader(file.subarray(base, base + size), TABLE, base)
  const found: WinCertificate[] = []
  while (reader.remaining > 0) {
    const length = reader.u32('dwLength')
    const revision = reader.u16('wRevision')
    const type = reader.u16('wCertificateType')
    if (length < WIN_CERTIFICATE_HEADER_SIZE) throw reader.malformed('dwLength', `is ${length}, expected at least 8`, 8)
    const offset = reader.offset
    found.push({ revision, type, offset, content: reader.bytes(length - WIN_CERTIFICATE_HEADER_SIZE, 'bCertificate') })
    // The last one is padded only if the table says so.
    reader.bytes(Math.min((8 - (length % 8)) % 8, reader.remaining), 'padding')
  }
  return found
}

/** Reads the PKCS#7 signed data of an image (Authenticode; RFC 2315), with or without the ContentInfo around it. */
export function parseAuthenticodeSignature(bytes: Uint8Array, base = 0): AuthenticodeSignature {
  const outer = parseDer(bytes, base)
  const first = derChildren(outer)[0]
  let signedData = outer
  if (first?.tag === DER_OID) {
    expectOid(first, SIGNED_DATA, 'contentType')
    signedData = derChild(derChild(outer, 1, CONTEXT_0, 'content'), 0, DER_SEQUENCE, 'SignedData')
  }
  const fields = derChildren(signedData)
  const contentInfo = derChild(signedData, 2, DER_SEQUENCE, 'contentInfo')
  expectOid(derChild(contentInfo, 0, DER_OID, 'contentType'), SPC_INDIRECT_DATA, 'contentType')
  const content = derChild(derChild(contentInfo, 1, CONTEXT_0, 'content'), 0, DER_SEQUENCE, 'SpcIndirectDataContent')
  const digestInfo = derChild(content, 1, DER_SEQUENCE, 'messageDigest')
  const algorithm = derChild(digestInfo, 0, DER_SEQUENCE, 'digestAlgorithm')
  const signerInfos = fields.at(-1)
  if (signerInfos?.tag !== DER_SET) {
    throw malformed({ what: SIGNATURE, field: 'signerInfos', offset: signedData.offset }, 'is not there')
  }
  const certificates = fields.slice(3).find(({ tag }) => tag === CONTEXT_0)
  return {
    digestAlgorithm: derOid(derChild(algorithm, 0, DER_OID, 'algorithm')),
    imageDigest: derChild(digestInfo, 1, DER_OCTET_STRING, 'digest').content,
    signedContent: content.content,
    certificates: certificates === undefined ? [] : derChildren(certificates).map((one) => one.bytes),
    signers: derChildren(signerInfos).map(readSigner),
  }
}

/** Issuer, serial number and TBSCertificate of an X.509 certificate in DER (RFC 5280, 4.1). */
export function parseCertificateNames(bytes: Uint8Array): CertificateNames {
  const toBeSigned = derChild(parseDer(bytes), 0, DER_SEQUENCE, 'tbsCertificate')
  const hasVersion = derChildren(toBeSigned)[0]?.tag === CONTEXT_0
  const start = hasVersion ? 1 : 0
  return {
    serialNumber: derChild(toBeSigned, start, DER_INTEGER, 'serialNumber').content,
    issuer: derChild(toBeSigned, start + 2, DER_SEQUENCE, 'issuer').bytes,
    toBeSigned: toBeSigned.bytes,
  }
}

function readSigner(signer: DerElement): AuthenticodeSigner {
  const name = derChild(signer, 1, DER_SEQUENCE, 'issuerAndSerialNumber')
  const attributes = derChildren(signer)[3]
  const hasAttributes = attributes?.tag === CONTEXT_0
  const next = hasAttributes ? 4 : 3
  return {
    issuer: derChild(name, 0, DER_SEQUENCE, 'issuer').bytes,
    serialNumber: derChild(name, 1, DER_INTEGER, 'serialNumber').content,
    digestAlgorithm: algorithmOid(derChild(signer, 2, DER_SEQUENCE, 'digestAlgorithm')),
    signatureAlgorithm: algorithmOid(derChild(signer, next, DER_SEQUENCE, 'digestEncryptionAlgorithm')),
    signedAttributes: hasAttributes ? Buffer.concat([Buffer.of(DER_SET), attributes.bytes.subarray(1)]) : undefined,
    messageDigest: hasAttributes ? messageDigestOf(attributes) : undefined,
    signature: derChild(signer, next + 1, DER_OCTET_STRING, 'encryptedDigest').content,
  }
}

function messageDigestOf(attributes: DerElement): Uint8Array | undefined {
  for (const attribute of derChildren(attributes)) {
    if (derOid(derChild(attribute, 0, DER_OID, 'attribute type')) !== MESSAGE_DIGEST) continue
    return derChild(derChild(attribute, 1, DER_SET, 'attribute values'), 0, DER_OCTET_STRING, 'messageDigest').content
  }
  return undefined
}

function algorithmOid(algorithm: DerElement): string {
  return derOid(derChild(algorithm, 0, DER_OID, 'algorithm'))
}

function expectOid(element: DerElement, oid: string, field: string): void {
  const found = derOid(element)
  if (found === oid) return
  throw malformed({ what: SIGNATURE, field, offset: element.offset }, `is ${found}, expected ${oid}`)
}
