import { ByteReader } from './byte-reader.ts'
import { parseGuid } from './guid.ts'
import { malformed } from './malformed.ts'

/** Kinds of signatures that db, dbx, dbt, KEK and PK hold (UEFI 32.4.1), by SignatureType. */
const KINDS = {
  'a5c059a1-94e4-4aa7-87b5-ab155c2bf072': 'x509',
  '826ca512-cf10-4ac9-b187-be01496631bd': 'sha1',
  'c1c41626-504c-4092-aca9-41f936934328': 'sha256',
  'ff3e5307-9fd0-48c9-85f1-8ad56c701e01': 'sha384',
  '093e0fae-a6c4-4f50-9f1b-d41e2b89c19a': 'sha512',
  '3bd2a492-96c0-4079-b420-fcf98ef103ed': 'x509-sha256',
  '7076876e-80c2-4ee6-aad2-28b349a6865b': 'x509-sha384',
  '446dbf63-2502-4cda-bcfa-2465d2b0fe9d': 'x509-sha512',
} as const

/**
 * - `x509`: a certificate in DER;
 * - `sha1` to `sha512`: the Authenticode digest of an image;
 * - `x509-sha256` to `x509-sha512`: the digest of a certificate's TBSCertificate, then the EFI_TIME of its revocation.
 */
export type EfiSignatureKind = (typeof KINDS)[keyof typeof KINDS]

/** EFI_SIGNATURE_DATA. */
export interface EfiSignature {
  /** SignatureOwner, as lower-case text. */
  readonly owner: string
  readonly data: Uint8Array
}

/** EFI_SIGNATURE_LIST: signatures of one type and one size. */
export interface EfiSignatureList {
  /** SignatureType, as lower-case text. */
  readonly type: string
  readonly header: Uint8Array
  /** Bytes of each signature, its owner included. */
  readonly signatureSize: number
  readonly signatures: readonly EfiSignature[]
}

const WHAT = 'EFI signature list'
const LIST_HEADER_SIZE = 28
const OWNER_SIZE = 16

/** What a SignatureType stands for; undefined for one that is not handled here. */
export function efiSignatureKind(type: string): EfiSignatureKind | undefined {
  return (KINDS as Readonly<Record<string, EfiSignatureKind>>)[type]
}

/** The SignatureType of a kind. */
export function efiSignatureType(kind: EfiSignatureKind): string {
  return Object.keys(KINDS).find((type) => efiSignatureKind(type) === kind) ?? ''
}

/**
 * Reads the value of a variable that holds signature lists: db, dbx, dbt, dbr, KEK, PK. Lists of unknown types are kept as
 * they are, empty ones too. Nothing is copied; whatever does not fit is `MALFORMED_INPUT`.
 */
export function parseEfiSignatureLists(bytes: Uint8Array): EfiSignatureList[] {
  const reader = new ByteReader(bytes, WHAT)
  const lists: EfiSignatureList[] = []
  while (reader.remaining > 0) lists.push(readList(reader))
  return lists
}

/** The value of a variable with these lists: the inverse of {@link parseEfiSignatureLists}. */
export function writeEfiSignatureLists(lists: readonly EfiSignatureList[]): Uint8Array {
  return Buffer.concat(
    lists.flatMap(({ type, header, signatureSize, signatures }) => {
      const size = LIST_HEADER_SIZE + header.byteLength + signatureSize * signatures.length
      const sizes = Buffer.alloc(12)
      sizes.writeUInt32LE(size, 0)
      sizes.writeUInt32LE(header.byteLength, 4)
      sizes.writeUInt32LE(signatureSize, 8)
      return [
        parseGuid(type),
        sizes,
        header,
        ...signatures.map((signature) => writeSignature(signature, signatureSize)),
      ]
    }),
  )
}

/** EFI_SIGNATURE_DATA as it lies in its list, and as the firmware measures it when it lets an image pass. */
export function efiSignatureBytes({ owner, data }: EfiSignature): Uint8Array {
  return Buffer.concat([parseGuid(owner), data])
}

function readList(reader: ByteReader): EfiSignatureList {
  const type = reader.guid('SignatureType')
  const size = reader.u32('SignatureListSize')
  const headerSize = reader.u32('SignatureHeaderSize')
  const signatureSize = reader.u32('SignatureSize')
  if (size < LIST_HEADER_SIZE + headerSize || size - LIST_HEADER_SIZE > reader.remaining) {
    throw reader.malformed(
      'SignatureListSize',
      `is ${size}, expected from ${LIST_HEADER_SIZE + headerSize} to ${reader.remaining + LIST_HEADER_SIZE}`,
      12,
    )
  }
  const content = size - LIST_HEADER_SIZE - headerSize
  // With no byte besides the owner a signature would say nothing, and a list of 4 GiB could hold 2^28 of them.
  if (content > 0 && (signatureSize <= OWNER_SIZE || content % signatureSize !== 0)) {
    throw reader.malformed(
      'SignatureSize',
      `is ${signatureSize}, expected more than ${OWNER_SIZE} and a divisor of ${content}`,
      4,
    )
  }
  const header = reader.bytes(headerSize, 'SignatureHeader')
  const body = reader.part(content, 'Signatures')
  const signatures: EfiSignature[] = []
  while (body.remaining > 0) {
    const owner = body.guid('SignatureOwner')
    signatures.push({ owner, data: body.bytes(signatureSize - OWNER_SIZE, 'SignatureData') })
  }
  return { type, header, signatureSize, signatures }
}

function writeSignature(signature: EfiSignature, size: number): Uint8Array {
  const bytes = efiSignatureBytes(signature)
  if (bytes.byteLength === size) return bytes
  throw malformed(
    { what: WHAT, field: 'SignatureData', offset: 0 },
    `has ${bytes.byteLength} bytes with its owner, but those of its list have ${size}`,
    { hint: 'Signatures of different sizes go into different lists.' },
  )
}
