import { malformed } from './malformed.ts'

/** No configuration file or command line is as long. */
const MAX_TEXT_BYTES = 16 * 1024 * 1024

/**
 * Text as systemd-boot and systemd-stub take it from UTF-8 bytes: up to the first NUL, without sequences that are no
 * UTF-8 and without characters beyond the basic multilingual plane.
 */
export function efiText(bytes: Uint8Array): string {
  const end = bytes.indexOf(0)
  if (bytes.byteLength > MAX_TEXT_BYTES) {
    throw malformed(
      { what: 'boot configuration', field: 'text', offset: 0 },
      `has ${bytes.byteLength} bytes, more than ${MAX_TEXT_BYTES}`,
    )
  }
  const decoded = new TextDecoder('utf-8', { ignoreBOM: true }).decode(end === -1 ? bytes : bytes.subarray(0, end))
  return decoded.replaceAll(/[\u{10000}-\u{10ffff}\ufffd]/gu, '')
}

/** UTF-16 with a NUL, as the firmware knows strings and as command lines and descriptions are measured. */
export function utf16z(text: string): Uint8Array {
  return Buffer.from(`${text}\0`, 'utf16le')
}

/** Only what ASCII has two cases of: how systemd-boot folds names. */
export function asciiLowerCase(text: string): string {
  return text.replaceAll(/[A-Z]+/g, (letters) => letters.toLowerCase())
}

/** Without characters of a kind at both ends. Takes one pass, unlike a regular expression for the end of a text. */
export function withoutEnds(text: string, isCut: (character: string | undefined) => boolean): string {
  let [start, end] = [0, text.length]
  while (start < end && isCut(text[start])) start++
  while (end > start && isCut(text[end - 1])) end--
  return text.slice(start, end)
}

/** Lines of a key and a value as systemd-boot reads them: no comments, surrounding blanks and quotes taken off. */
export function keyValueLines(bytes: Uint8Array, separators: ' \t' | '='): (readonly [key: string, value: string])[] {
  const pairs: (readonly [string, string])[] = []
  const isSeparator = (character: string | undefined): boolean =>
    character !== undefined && separators.includes(character)
  for (const raw of efiText(bytes).split(/[\n\r]/)) {
    const line = withoutEnds(raw, (character) => character === ' ' || character === '\t')
    if (line.startsWith('#')) continue
    let split = 0
    while (split < line.length && !isSeparator(line[split])) split++
    if (split === line.length) continue
    let start = split + 1
    while (isSeparator(line[start])) start++
    const value = line.slice(start)
    const quote = value[0]
    const isQuoted = (quote === '"' || quote === "'") && value.length > 1 && value.at(-1) === quote
    pairs.push([line.slice(0, split), isQuoted ? value.slice(1, -1) : value])
  }
  return pairs
}
