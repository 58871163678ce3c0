import { malformed } from '../../formats/index.ts'
import type { BootwrightError } from '../../system/index.ts'
import { type HashAlgorithm, hashAlgorithmFacts } from '../hash-algorithms.ts'

export type JsonObject = Readonly<Record<string, unknown>>
export type Fail = (field: string, problem: string) => BootwrightError

/** Files of these kinds have some kilobytes; a component of a large log some megabytes. */
const MAX_BYTES = 16 * 1024 * 1024

/** The object that a file is, or `MALFORMED_INPUT`; and how to say that something in it is wrong. */
export function jsonObject(what: string, bytes: Uint8Array): { readonly object: JsonObject; readonly fail: Fail } {
  const fail: Fail = (field, problem) => malformed({ what, field, offset: 0 }, problem)
  if (bytes.byteLength > MAX_BYTES) throw fail('size', `expected at most ${MAX_BYTES} bytes, found ${bytes.byteLength}`)
  let json: unknown
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (cause) {
    // V8 says how far it came, in characters; so far they are bytes in all that is not text.
    const offset = Number(/at position (\d+)/.exec((cause as Error).message)?.[1] ?? 0)
    throw malformed({ what, field: 'JSON', offset }, (cause as Error).message, { cause })
  }
  if (!isObject(json)) throw fail('JSON', 'expected an object')
  return { object: json, fail }
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function isPcr(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= LAST_PCR
}

const LAST_PCR = 23

/** Bytes of a hash in hexadecimal. */
export function readDigest(value: unknown, bank: HashAlgorithm, fail: Fail): Buffer {
  const { digestBytes } = hashAlgorithmFacts(bank)
  if (typeof value === 'string' && value.length === digestBytes * 2 && /^[0-9a-f]+$/i.test(value)) {
    return Buffer.from(value, 'hex')
  }
  throw fail('digest', `expected ${digestBytes * 2} hexadecimal digits for ${bank}`)
}
