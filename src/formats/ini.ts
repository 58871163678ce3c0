import { isUtf8 } from 'node:buffer'

/** One thing that a configuration file says, in its order. Lines count from 1; a continued one has the number of its last. */
export type IniItem =
  | {
      readonly kind: 'assignment'
      readonly section: string
      readonly key: string
      readonly value: string
      readonly line: number
    }
  /** What is passed over. */
  | { readonly kind: 'warning'; readonly line: number; readonly text: string }
  /** What makes the whole file useless; always the last item. */
  | { readonly kind: 'fatal'; readonly line: number; readonly text: string }

const MAX_LINE = 1024 * 1024
const SPACE = /^[ \t\n\r]+|[ \t\n\r]+$/g

/**
 * Reads a configuration file by the rules of systemd.syntax(7): `#` and `;` begin comments, a `\` at the end continues a
 * line even over comments, space around keys and values means nothing, sections and keys that begin with `X-` are for others.
 *
 * @param sections those that are known; assignments in others are left out
 */
export function parseIni(bytes: Uint8Array, sections: readonly string[]): IniItem[] {
  const items: IniItem[] = []
  let section: string | undefined
  let isForeign = false
  let continued = ''
  let line = 0

  /** Whether to go on. */
  const take = (raw: Buffer): boolean => {
    const text = raw.toString().replaceAll(SPACE, '')
    if (text === '') return true
    if (!isUtf8(raw)) {
      const shown = text.replaceAll(/\p{Cc}/gu, '\ufffd')
      items.push({ kind: 'fatal', line, text: `String is not UTF-8 clean, ignoring assignment: ${shown}` })
      return false
    }
    if (text.startsWith('[')) {
      const name = text.slice(1, -1)
      if (!text.endsWith(']')) items.push({ kind: 'fatal', line, text: `Invalid section header '${text}'` })
      else if (name === '' || /\p{Cc}/u.test(name)) {
        items.push({ kind: 'fatal', line, text: `Section header invalid '${text}'` })
      } else {
        section = name
        isForeign = !sections.includes(name)
        if (isForeign && !name.startsWith('X-')) {
          items.push({ kind: 'warning', line, text: `Unknown section '${name}'. Ignoring.` })
        }
        return true
      }
      return false
    }
    if (section === undefined) {
      items.push({ kind: 'warning', line, text: 'Assignment outside of section. Ignoring.' })
      return true
    }
    if (isForeign) return true
    const at = text.indexOf('=')
    if (at < 0) items.push({ kind: 'warning', line, text: "Missing '=', ignoring line." })
    else if (at === 0) items.push({ kind: 'warning', line, text: "Missing key name before '=', ignoring line." })
    else {
      const [key, value] = [text.slice(0, at), text.slice(at + 1)].map((part) => part.replaceAll(SPACE, ''))
      items.push({ kind: 'assignment', section, key: key ?? '', value: value ?? '', line })
    }
    return true
  }

  for (const raw of lines(withoutByteOrderMark(bytes))) {
    line++
    if (raw.length + continued.length > MAX_LINE) {
      items.push({ kind: 'fatal', line, text: 'Line too long.' })
      return items
    }
    const start = raw.toString('latin1').replace(/^[ \t\n\r]+/, '')
    if (start.startsWith('#') || start.startsWith(';')) continue
    const joined = continued + raw.toString('latin1')
    if (endsEscaped(joined)) {
      continued = `${joined.slice(0, -1)} `
      continue
    }
    continued = ''
    if (!take(Buffer.from(joined, 'latin1'))) return items
  }
  if (continued !== '') {
    line++
    take(Buffer.from(continued, 'latin1'))
  }
  return items
}

/** A line ends with a newline, a carriage return, both, or NUL. */
function* lines(bytes: Buffer): Generator<Buffer> {
  let start = 0
  while (start < bytes.length) {
    let end = start
    while (end < bytes.length && bytes[end] !== 10 && bytes[end] !== 13 && bytes[end] !== 0) end++
    yield bytes.subarray(start, end)
    const [first, second] = [bytes[end], bytes[end + 1]]
    start = end + (first !== second && isLineEnd(first) && isLineEnd(second) ? 2 : 1)
  }
}

function isLineEnd(byte: number | undefined): boolean {
  return byte === 10 || byte === 13
}

function withoutByteOrderMark(bytes: Uint8Array): Buffer {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return buffer.subarray(0, 3).equals(Buffer.from([0xef, 0xbb, 0xbf])) ? buffer.subarray(3) : buffer
}

/** Whether an odd number of backslashes stands at the end. */
function endsEscaped(text: string): boolean {
  const count = /\\*$/.exec(text)?.[0].length ?? 0
  return count % 2 === 1
}
