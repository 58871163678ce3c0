/** How words are taken apart: whether quotes group, and whether backslashes begin the escapes of C. */
export interface WordRules {
  readonly quotes: boolean
}

const ESCAPES: Readonly<Record<string, string>> = {
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  '\\': '\\',
  '"': '"',
  "'": "'",
  s: ' ',
}

/** Words between white space, as systemd's list settings have them. Undefined when a quote is not closed. */
export function splitWords(text: string, rules: WordRules): string[] | undefined {
  const words: string[] = []
  let word: string | undefined
  let quote = ''
  for (let index = 0; index < text.length; index++) {
    const character = text[index] ?? ''
    if (character === '\\') {
      const read = readEscape(text, index)
      word = (word ?? '') + read.text
      index = read.last
    } else if (quote !== '') {
      if (character === quote) quote = ''
      else word = (word ?? '') + character
    } else if (rules.quotes && (character === '"' || character === "'")) {
      quote = character
      word ??= ''
    } else if (/[ \t\n\r]/.test(character)) {
      if (word !== undefined) words.push(word)
      word = undefined
    } else word = (word ?? '') + character
  }
  if (quote !== '') return undefined
  if (word !== undefined) words.push(word)
  return words
}

/** An escape of C; one that is none stands for itself, backslash and all. */
function readEscape(text: string, start: number): { text: string; last: number } {
  const letter = text[start + 1] ?? ''
  const simple = ESCAPES[letter]
  if (simple !== undefined) return { text: simple, last: start + 1 }
  for (const [pattern, base] of [
    [/^\\x([0-9a-fA-F]{2})/, 16],
    [/^\\u([0-9a-fA-F]{4})/, 16],
    [/^\\U([0-9a-fA-F]{8})/, 16],
    [/^\\([0-7]{3})/, 8],
  ] as const) {
    const digits = pattern.exec(text.slice(start, start + 10))?.[1]
    if (digits === undefined) continue
    const code = Number.parseInt(digits, base)
    if (code === 0 || code > 0x10ffff || (base === 8 && code > 255)) break
    return { text: String.fromCodePoint(code), last: start + digits.length + (base === 8 ? 0 : 1) }
  }
  return { text: '\\', last: start }
}
