import { ByteReader } from './byte-reader.ts'
import { malformed } from './malformed.ts'

/** One element of a DER encoding (ITU-T X.690): tag, length, content. */
export interface DerElement {
  /** The identifier octet: class, constructed bit and number. Numbers above 30 are not handled. */
  readonly tag: number
  /** Offset in the whole input. */
  readonly offset: number
  readonly content: Uint8Array
  /** Offset of the content in the whole input. */
  readonly contentOffset: number
  /** Tag, length and content. */
  readonly bytes: Uint8Array
}

/** Tags of universal types. */
export const DER_INTEGER = 0x02
export const DER_OCTET_STRING = 0x04
export const DER_OID = 0x06
export const DER_SEQUENCE = 0x30
export const DER_SET = 0x31

const WHAT = 'DER encoding'
/** Real structures have thousands of elements (a certificate revocation list), never this many side by side. */
const MAX_ELEMENTS = 65_536

/** The element that `bytes` begin with; what follows it is left alone. Lengths have to be definite, as DER wants. */
export function parseDer(bytes: Uint8Array, base = 0): DerElement {
  return readElement(new ByteReader(bytes, WHAT, base), bytes, base)
}

/** The elements that the content of an element consists of. */
export function derChildren(element: DerElement): DerElement[] {
  const { content, contentOffset } = element
  const reader = new ByteReader(content, WHAT, contentOffset)
  const children: DerElement[] = []
  while (reader.remaining > 0) {
    if (children.length === MAX_ELEMENTS) throw reader.malformed('element', `is one of more than ${MAX_ELEMENTS}`)
    children.push(readElement(reader, content, contentOffset))
  }
  return children
}

/** The child at a position, which has to be there and to have that tag. */
export function derChild(element: DerElement, index: number, tag: number, field: string): DerElement {
  const child = derChildren(element)[index]
  if (child?.tag === tag) return child
  const found = child === undefined ? 'nothing' : `tag 0x${child.tag.toString(16)}`
  throw malformed(
    { what: WHAT, field, offset: child?.offset ?? element.contentOffset },
    `expected tag 0x${tag.toString(16)}, found ${found}`,
  )
}

/** An OBJECT IDENTIFIER as dotted text. */
export function derOid(element: DerElement): string {
  const { tag, content, offset } = element
  const numbers: number[] = []
  let number = 0
  for (const byte of content) {
    number = number * 128 + (byte & 0x7f)
    if (number > Number.MAX_SAFE_INTEGER / 128) break
    if ((byte & 0x80) !== 0) continue
    numbers.push(number)
    number = 0
  }
  const [first] = numbers
  if (tag !== DER_OID || first === undefined || number !== 0) {
    throw malformed({ what: WHAT, field: 'OBJECT IDENTIFIER', offset }, 'is none')
  }
  const root = Math.min(Math.floor(first / 40), 2)
  return [root, first - root * 40, ...numbers.slice(1)].join('.')
}

function readElement(reader: ByteReader, bytes: Uint8Array, base: number): DerElement {
  const offset = reader.offset
  const tag = reader.u8('tag')
  if ((tag & 0x1f) === 0x1f) throw reader.malformed('tag', 'has more than one byte', 1)
  const first = reader.u8('length')
  let length = first
  if (first === 0x80) throw reader.malformed('length', 'is indefinite', 1)
  if (first > 0x80) {
    const count = first & 0x7f
    if (count > 4) throw reader.malformed('length', `has ${count} bytes, expected at most 4`, 1)
    length = reader.bytes(count, 'length').reduce((value, byte) => value * 256 + byte, 0)
  }
  const contentOffset = reader.offset
  const content = reader.bytes(length, 'content')
  return { tag, offset, content, contentOffset, bytes: bytes.subarray(offset - base, reader.offset - base) }
}
