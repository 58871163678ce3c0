import { createHash } from 'node:crypto'
import {
  bootOptionName,
  type EfiSignature,
  efiSignatureKind,
  formatDevicePath,
  parseBootOrder,
  parseDevicePath,
  parseEfiLoadOption,
  parseEfiSignatureLists,
} from '../../formats/index.ts'
import { BootwrightError } from '../../system/index.ts'
import type { EventPayload } from '../event-payload.ts'
import { gptDifference } from './gpt-difference.ts'
import { quoted } from './quoted.ts'

/** What was hashed, and what a record of it says. */
export interface Content {
  readonly bytes: Uint8Array
  readonly payload: EventPayload
}

const SHOWN_BYTES = 16
/** Names in the value of a list are shown up to here. */
const SHOWN_NAMES = 12
const SIGNATURE_LISTS = new Set(['PK', 'KEK', 'db', 'dbx', 'dbt', 'dbr', 'MokList', 'MokListX'])

/** From what to what, in words. Both are proven by their digests; nothing in them is trusted to be well-formed. */
export function contentDifference(expected: Content, found: Content): string {
  const [a, b] = [expected.payload, found.payload]
  if (a.kind === 'variable' && b.kind === 'variable') {
    return a.name === b.name && a.vendorGuid === b.vendorGuid
      ? variableDifference(a.name, a.value, b.value)
      : `expected variable ${a.name}, found variable ${b.name}`
  }
  if (a.kind === 'gpt' && b.kind === 'gpt') return gptDifference(expected.bytes, found.bytes)
  if (a.kind === 'separator' && b.kind === 'separator') {
    return `expected ${hexNumber(a.value)}, found ${hexNumber(b.value)}, with which firmware tells of an error`
  }
  const [textA, textB] = [printableText(expected.bytes), printableText(found.bytes)]
  if (textA !== undefined && textB !== undefined && textA !== textB) return `expected ${textA}, found ${textB}`
  return bytesDifference(expected.bytes, found.bytes)
}

function variableDifference(name: string, expected: Uint8Array, found: Uint8Array): string {
  const [a, b] = [valueWords(name, expected), valueWords(name, found)]
  if (SIGNATURE_LISTS.has(name)) return signaturesDifference(expected, found) ?? bytesDifference(expected, found)
  return a === undefined || b === undefined || a === b ? bytesDifference(expected, found) : `expected ${a}, found ${b}`
}

function valueWords(name: string, value: Uint8Array): string | undefined {
  if (value.byteLength === 0) return 'no value'
  if (name === 'BootOrder') return readable(() => names(parseBootOrder(value).map(bootOptionName)))
  if (/^(Boot|Driver|SysPrep)[0-9A-F]{4}$/.test(name)) {
    return readable(() => {
      const { description, filePathList, attributes } = parseEfiLoadOption(value)
      const path = formatDevicePath(parseDevicePath(filePathList))
      return `${quoted(description)} ${path} (attributes ${hexNumber(attributes)})`
    })
  }
  if (name === 'SecureBoot' && value.byteLength === 1) return value[0] === 0 ? '00 (off)' : `${hex(value)} (on)`
  return value.byteLength <= SHOWN_BYTES ? hex(value) : undefined
}

function signaturesDifference(expected: Uint8Array, found: Uint8Array): string | undefined {
  const [before, after] = [readable(() => signatures(expected)), readable(() => signatures(found))]
  if (before === undefined || after === undefined) return undefined
  const added = [...after.keys()].filter((id) => !before.has(id)).map((id) => after.get(id) ?? '')
  const removed = [...before.keys()].filter((id) => !after.has(id)).map((id) => before.get(id) ?? '')
  if (added.length + removed.length === 0) return undefined
  const changes = [
    ...(added.length > 0 ? [`added ${names(added)}`] : []),
    ...(removed.length > 0 ? [`without ${names(removed)}`] : []),
  ]
  const count = before.size === 1 ? '1 signature' : `${before.size} signatures`
  return `expected ${count}, found ${after.size}: ${changes.join('; ')}`
}

/** Kind, digest and owner of each signature in a list, by all of that. */
function signatures(value: Uint8Array): ReadonlyMap<string, string> {
  const words = (type: string, { owner, data }: EfiSignature): string => {
    const kind = efiSignatureKind(type) ?? type
    const digest = kind === 'x509' ? createHash('sha256').update(data).digest() : data
    return `${kind} ${hex(digest.subarray(0, SHOWN_BYTES))}… of owner ${owner}`
  }
  return new Map(
    parseEfiSignatureLists(value).flatMap(({ type, signatures: list }) =>
      list.map((signature) => {
        return [`${type} ${signature.owner} ${hex(signature.data)}`, words(type, signature)] as const
      }),
    ),
  )
}

function bytesDifference(expected: Uint8Array, found: Uint8Array): string {
  const sizes =
    expected.byteLength === found.byteLength
      ? `${found.byteLength} bytes`
      : `expected ${expected.byteLength} bytes, found ${found.byteLength}`
  const at = firstDifference(expected, found)
  const [a, b] = [expected, found].map((bytes) => hex(bytes.subarray(at, at + SHOWN_BYTES)) || 'the end')
  return at >= expected.byteLength && at >= found.byteLength
    ? `the same ${sizes}`
    : `${sizes}, the first difference at byte ${at}: expected ${a}, found ${b}`
}

function firstDifference(a: Uint8Array, b: Uint8Array): number {
  const end = Math.min(a.byteLength, b.byteLength)
  let at = 0
  while (at < end && a[at] === b[at]) at++
  return at
}

/** In quotes, if it is text throughout, in ASCII, UTF-8 or UTF-16, with or without a NUL at its end. */
export function printableText(bytes: Uint8Array): string | undefined {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const texts = [...(buffer.length % 2 === 0 ? [buffer.toString('utf16le')] : []), buffer.toString('utf8')]
  const text = texts.map((one) => one.replace(/\0$/, '')).find((one) => /^[\x20-\x7e\t\n]+$/.test(one))
  return text === undefined ? undefined : quoted(text)
}

function readable<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (error instanceof BootwrightError && error.code === 'MALFORMED_INPUT') return undefined
    throw error
  }
}

function names(all: readonly string[]): string {
  const more = all.length - SHOWN_NAMES
  return `${all.slice(0, SHOWN_NAMES).join(', ')}${more > 0 ? ` and ${more} more` : ''}`
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

function hexNumber(value: number): string {
  return `0x${value.toString(16)}`
}
