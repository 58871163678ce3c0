import { createHash, sign } from 'node:crypto'
import {
  derChildren,
  derInteger,
  derNull,
  derObjectIdentifier,
  derOctetString,
  derSequence,
  derSet,
  derTime,
  parseDer,
  writeDer,
} from '../formats/index.ts'
import type { Identity } from './signer.ts'

const ID_DATA = '1.2.840.113549.1.7.1'
const ID_SIGNED_DATA = '1.2.840.113549.1.7.2'
const CONTENT_TYPE = '1.2.840.113549.1.9.3'
const MESSAGE_DIGEST = '1.2.840.113549.1.9.4'
const SIGNING_TIME = '1.2.840.113549.1.9.5'

const DIGESTS = { sha1: '1.3.14.3.2.26', sha256: '2.16.840.1.101.3.4.2.1' } as const
const RSA = '1.2.840.113549.1.1.1'
const DSA_WITH_SHA1 = '1.2.840.10040.4.3'

export interface CmsOptions {
  readonly digest: keyof typeof DIGESTS
  readonly signedAtMs: number
  /** Certificates beside that of the signer, in DER. */
  readonly further?: readonly Uint8Array[]
}

/** Data with its signature as a CMS SignedData in DER (RFC 5652, section 5): what EC2 and Azure call PKCS#7. */
export function signCms({ privateKey, certificate }: Identity, data: Uint8Array, options: CmsOptions): Buffer {
  const { digest, signedAtMs, further = [] } = options
  const digestAlgorithm = derSequence(derObjectIdentifier(DIGESTS[digest]), derNull())
  const attribute = (oid: string, value: Uint8Array) => derSequence(derObjectIdentifier(oid), derSet(value))
  const attributes = derSet(
    attribute(CONTENT_TYPE, derObjectIdentifier(ID_DATA)),
    attribute(SIGNING_TIME, derTime(signedAtMs)),
    attribute(MESSAGE_DIGEST, derOctetString(createHash(digest).update(data).digest())),
  )
  const isDsa = privateKey.asymmetricKeyType === 'dsa'
  const signerInfo = derSequence(
    derInteger(1),
    derSequence(...issuerAndSerialNumber(certificate)),
    digestAlgorithm,
    // In the structure the set has a tag of its own; the signature is over it with its universal one (RFC 5652, 5.4).
    retagged(attributes, 0xa0),
    isDsa ? derSequence(derObjectIdentifier(DSA_WITH_SHA1)) : derSequence(derObjectIdentifier(RSA), derNull()),
    derOctetString(sign(digest, attributes, privateKey)),
  )
  const signedData = derSequence(
    derInteger(1),
    derSet(digestAlgorithm),
    derSequence(derObjectIdentifier(ID_DATA), writeDer(0xa0, derOctetString(data))),
    retagged(derSet(certificate, ...further), 0xa0),
    derSet(signerInfo),
  )
  return derSequence(derObjectIdentifier(ID_SIGNED_DATA), writeDer(0xa0, signedData))
}

/** Issuer and serial number of a certificate: RFC 5280, 4.1. */
function issuerAndSerialNumber(certificate: Uint8Array): Uint8Array[] {
  const [toBeSigned] = derChildren(parseDer(certificate))
  const fields = toBeSigned === undefined ? [] : derChildren(toBeSigned)
  const [, serialNumber, , issuer] = fields
  return [issuer, serialNumber].flatMap((field) => (field === undefined ? [] : [field.bytes]))
}

function retagged(element: Uint8Array, tag: number): Buffer {
  const copy = Buffer.from(element)
  copy[0] = tag
  return copy
}
