import { DER_INTEGER, DER_OCTET_STRING, DER_OID, DER_SEQUENCE, DER_SET } from './der.ts'

/** An element of DER (ITU-T X.690): tag, definite length, contents one after another. */
export function writeDer(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(contents)
  return Buffer.concat([Buffer.from([tag]), lengthOctets(content.length), content])
}

export function derSequence(...elements: readonly Uint8Array[]): Buffer {
  return writeDer(DER_SEQUENCE, ...elements)
}

/** DER sorts the elements of a SET OF by their encoding (X.690, 11.6). */
export function derSet(...elements: readonly Uint8Array[]): Buffer {
  return writeDer(DER_SET, ...elements.toSorted(Buffer.compare))
}

/** A whole number that is not negative, given as number or as big-endian bytes. */
export function derInteger(value: number | Uint8Array): Buffer {
  const bytes = typeof value === 'number' ? bigEndian(value) : Buffer.from(value)
  const first = bytes.findIndex((byte) => byte !== 0)
  const digits = first < 0 ? Buffer.from([0]) : bytes.subarray(first)
  const isNegative = ((digits[0] ?? 0) & 0x80) !== 0
  return writeDer(DER_INTEGER, isNegative ? Buffer.concat([Buffer.from([0]), digits]) : digits)
}

/** An OBJECT IDENTIFIER of its dotted text. */
export function derObjectIdentifier(dotted: string): Buffer {
  const [root = 0, second = 0, ...rest] = dotted.split('.').map(Number)
  const octets = [root * 40 + second, ...rest].flatMap((number) => {
    const groups = [number & 0x7f]
    for (let left = Math.floor(number / 128); left > 0; left = Math.floor(left / 128))
      groups.unshift((left & 0x7f) | 0x80)
    return groups
  })
  return writeDer(DER_OID, Buffer.from(octets))
}

export function derOctetString(bytes: Uint8Array): Buffer {
  return writeDer(DER_OCTET_STRING, bytes)
}

/** Whole octets. */
export function derBitString(bytes: Uint8Array): Buffer {
  return writeDer(0x03, Buffer.from([0]), bytes)
}

export function derNull(): Buffer {
  return writeDer(0x05)
}

export function derBoolean(value: boolean): Buffer {
  return writeDer(0x01, Buffer.from([value ? 0xff : 0]))
}

export function derUtf8String(text: string): Buffer {
  return writeDer(0x0c, Buffer.from(text))
}

/** UTCTime until 2049, GeneralizedTime from then on (RFC 5280, 4.1.2.5); whole seconds. */
export function derTime(ms: number): Buffer {
  const digits = new Date(ms).toISOString().replaceAll(/[-:T]|\.\d+/g, '')
  return Number(digits.slice(0, 4)) < 2050
    ? writeDer(0x17, Buffer.from(digits.slice(2)))
    : writeDer(0x18, Buffer.from(digits))
}

function lengthOctets(length: number): Buffer {
  if (length < 0x80) return Buffer.from([length])
  const octets = bigEndian(length)
  return Buffer.concat([Buffer.from([0x80 | octets.length]), octets])
}

/** No more octets than it needs. */
function bigEndian(value: number): Buffer {
  const digits = value.toString(16)
  return Buffer.from(digits.padStart(digits.length + (digits.length % 2), '0'), 'hex')
}
