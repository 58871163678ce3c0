import { WIN_CERT_TYPE_EFI_GUID } from './authenticode.ts'
import { ByteReader } from './byte-reader.ts'
import { DER_SEQUENCE, derChild, derChildren, parseDer } from './der.ts'
import type { EfiVariableChange } from './efi-variable-store.ts'
import { formatGuid, parseGuid } from './guid.ts'
import { malformed } from './malformed.ts'

const WHAT = 'authenticated write of an EFI variable'
/** EFI_CERT_TYPE_PKCS7_GUID. */
const PKCS7 = '4aafd29d-68df-49ee-8aa9-347d375665a7'
const TIME_SIZE = 16
const CERTIFICATE_HEADER_SIZE = 24
const CERTIFICATE_REVISION = 0x0200

/** What is asked of the firmware: UEFI 8.2.2, EFI_VARIABLE_AUTHENTICATION_2. */
export interface AuthenticatedWrite {
  /** EFI_TIME, 16 bytes: later than that of the write before. */
  readonly timestamp: Uint8Array
  /** SignedData (PKCS#7) in DER. */
  readonly signature: Uint8Array
  /** The new value. */
  readonly payload: Uint8Array
}

/** An EFI_TIME in UTC, to the second. */
export function efiTime(date: Date): Uint8Array {
  const time = Buffer.alloc(TIME_SIZE)
  time.writeUInt16LE(date.getUTCFullYear(), 0)
  const fields = [date.getUTCMonth() + 1, date.getUTCDate(), date.getUTCHours(), date.getUTCMinutes()]
  time.set([...fields, date.getUTCSeconds()], 2)
  return time
}

/** What the signature of a write is over. */
export function signedBytesOfWrite(
  { name, vendorGuid, attributes, data }: Pick<EfiVariableChange, 'name' | 'vendorGuid' | 'attributes' | 'data'>,
  timestamp: Uint8Array,
): Uint8Array {
  const bits = Buffer.alloc(4)
  bits.writeUInt32LE(attributes)
  return Buffer.concat([Buffer.from(name, 'utf16le'), parseGuid(vendorGuid), bits, timestamp, data])
}

/** The content of an `.auth` file. The signature may stand in a ContentInfo, as programs give it: firmware wants it bare. */
export function writeAuthenticatedWrite({ timestamp, signature, payload }: AuthenticatedWrite): Uint8Array {
  const outer = parseDer(signature)
  const [first] = derChildren(outer)
  // A SignedData begins with its version, a ContentInfo with the type of what is in it.
  const wrapped = first?.tag === 0x06 ? derChildren(outer)[1] : undefined
  const bare = wrapped === undefined ? outer.bytes : derChild(wrapped, 0, DER_SEQUENCE, 'SignedData').bytes
  const header = Buffer.alloc(8)
  header.writeUInt32LE(CERTIFICATE_HEADER_SIZE + bare.byteLength, 0)
  header.writeUInt16LE(CERTIFICATE_REVISION, 4)
  header.writeUInt16LE(WIN_CERT_TYPE_EFI_GUID, 6)
  return Buffer.concat([timestamp, header, parseGuid(PKCS7), bare, payload])
}

/** Reads an `.auth` file; whatever does not fit is `MALFORMED_INPUT`. The signature is not verified. */
export function parseAuthenticatedWrite(bytes: Uint8Array): AuthenticatedWrite {
  const reader = new ByteReader(bytes, WHAT)
  const timestamp = reader.bytes(TIME_SIZE, 'TimeStamp')
  const length = reader.u32('dwLength')
  const revision = reader.u16('wRevision')
  const type = reader.u16('wCertificateType')
  const kind = formatGuid(reader.bytes(16, 'CertType'))
  if (revision !== CERTIFICATE_REVISION || type !== WIN_CERT_TYPE_EFI_GUID || kind !== PKCS7) {
    throw malformed({ what: WHAT, field: 'AuthInfo', offset: TIME_SIZE }, 'is no PKCS#7 signature of UEFI')
  }
  if (length < CERTIFICATE_HEADER_SIZE || length - CERTIFICATE_HEADER_SIZE > reader.remaining) {
    throw malformed({ what: WHAT, field: 'dwLength', offset: TIME_SIZE }, `is ${length}, ${reader.remaining} are left`)
  }
  const signature = reader.bytes(length - CERTIFICATE_HEADER_SIZE, 'CertData')
  return { timestamp, signature, payload: reader.bytes(reader.remaining, 'payload') }
}
