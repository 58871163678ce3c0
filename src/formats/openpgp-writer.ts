import { createHash, createPublicKey, type KeyObject, sign } from 'node:crypto'

/** A key that signs: Ed25519, as OpenPGP has had it from GnuPG 2.1 on. */
export interface OpenPgpKey {
  readonly privateKey: KeyObject
  /** Part of the fingerprint. */
  readonly createdAt: Date
  readonly userId: string
}

const PACKET = { signature: 2, publicKey: 6, userId: 13 } as const
const SIGNATURE = { binaryDocument: 0x00, positiveCertification: 0x13 } as const
const SUBPACKET = { creationTime: 2, issuer: 16, keyFlags: 27, issuerFingerprint: 33 } as const
const MAY_CERTIFY_AND_SIGN = 0x03
const VERSION = 4
/** EdDSALegacy of RFC 9580, 9.1, with the curve's identifier of 9.2: what every GnuPG 2 knows. */
const EDDSA = 22
const ED25519_OID = Buffer.from('2b06010401da470f01', 'hex')
const SHA512 = 10

/** The public key with its user ID, signed by itself: a keyring for `gpg`, `gpgv` and `import-pubring.pgp` (RFC 9580, 10.1). */
export function openPgpPublicKey(key: OpenPgpKey): Buffer {
  const body = publicKeyBody(key)
  const userId = Buffer.from(key.userId)
  const certified = Buffer.concat([keyToHash(body), Buffer.from([0xb4]), u32(userId.length), userId])
  const flags = [subpacket(SUBPACKET.keyFlags, Buffer.from([MAY_CERTIFY_AND_SIGN]))]
  return Buffer.concat([
    packet(PACKET.publicKey, body),
    packet(PACKET.userId, userId),
    signaturePacket(key, SIGNATURE.positiveCertification, certified, { at: key.createdAt, subpackets: flags }),
  ])
}

/** A detached signature of a document, binary (RFC 9580, 5.2). */
export function openPgpSignature(key: OpenPgpKey, document: Uint8Array, at: Date): Buffer {
  return signaturePacket(key, SIGNATURE.binaryDocument, document, { at, subpackets: [] })
}

/** 40 upper-case hexadecimal digits (RFC 9580, 5.5.4.2). */
export function openPgpFingerprint(key: OpenPgpKey): string {
  return fingerprint(key).toString('hex').toUpperCase()
}

function publicKeyBody({ privateKey, createdAt }: OpenPgpKey): Buffer {
  const { x = '' } = createPublicKey(privateKey).export({ format: 'jwk' })
  const point = Buffer.concat([Buffer.from([0x40]), Buffer.from(x, 'base64url')])
  const algorithm = Buffer.from([EDDSA, ED25519_OID.length])
  return Buffer.concat([Buffer.from([VERSION]), seconds(createdAt), algorithm, ED25519_OID, integer(point)])
}

function fingerprint(key: OpenPgpKey): Buffer {
  return createHash('sha1')
    .update(keyToHash(publicKeyBody(key)))
    .digest()
}

function keyToHash(body: Buffer): Buffer {
  return Buffer.concat([Buffer.from([0x99]), u16(body.length), body])
}

function signaturePacket(
  key: OpenPgpKey,
  type: number,
  signed: Uint8Array,
  { at, subpackets }: { at: Date; subpackets: readonly Buffer[] },
): Buffer {
  const own = fingerprint(key)
  const hashed = Buffer.concat([
    subpacket(SUBPACKET.creationTime, seconds(at)),
    subpacket(SUBPACKET.issuerFingerprint, Buffer.concat([Buffer.from([VERSION]), own])),
    ...subpackets,
  ])
  const unhashed = subpacket(SUBPACKET.issuer, own.subarray(-8))
  const head = Buffer.concat([Buffer.from([VERSION, type, EDDSA, SHA512]), u16(hashed.length), hashed])
  const trailer = Buffer.concat([Buffer.from([VERSION, 0xff]), u32(head.length)])
  const digest = createHash('sha512').update(signed).update(head).update(trailer).digest()
  const value = sign(null, digest, key.privateKey)
  return packet(
    PACKET.signature,
    Buffer.concat([
      head,
      u16(unhashed.length),
      unhashed,
      digest.subarray(0, 2),
      integer(value.subarray(0, 32)),
      integer(value.subarray(32)),
    ]),
  )
}

/** A multiprecision integer: its length in bits, then its bytes without leading zeros (RFC 9580, 3.2). */
function integer(bytes: Uint8Array): Buffer {
  const first = bytes.findIndex((byte) => byte !== 0)
  if (first === -1) return u16(0)
  const digits = bytes.subarray(first)
  return Buffer.concat([u16(digits.length * 8 - (Math.clz32(digits[0] ?? 0) - 24)), digits])
}

function packet(tag: number, body: Buffer): Buffer {
  return Buffer.concat([Buffer.from([0xc0 | tag]), length(body.length), body])
}

/** All that is written here is shorter than the 192 bytes that one octet can tell. */
function subpacket(type: number, data: Buffer): Buffer {
  return Buffer.concat([length(data.length + 1), Buffer.from([type]), data])
}

/** RFC 9580, 4.2.1: one octet, two, or five. */
function length(bytes: number): Buffer {
  if (bytes < 192) return Buffer.from([bytes])
  if (bytes < 8384) return Buffer.from([((bytes - 192) >> 8) + 192, (bytes - 192) & 0xff])
  return Buffer.concat([Buffer.from([0xff]), u32(bytes)])
}

function seconds(date: Date): Buffer {
  return u32(Math.floor(date.getTime() / 1000))
}

function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16BE(value)
  return bytes
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

/** Whether this is the very signature that {@link openPgpSignature} makes of the document: Ed25519 leaves no choice. */
export function isOwnOpenPgpSignature(key: OpenPgpKey, document: Uint8Array, signature: Uint8Array): boolean {
  // Packet header, version, type and algorithms, length of the subpackets, head of the first one.
  const timeOffset = 2 + 4 + 2 + 2
  if (signature.byteLength < timeOffset + 4) return false
  const at = new Date(Buffer.from(signature).readUInt32BE(timeOffset) * 1000)
  return openPgpSignature(key, document, at).equals(signature)
}
