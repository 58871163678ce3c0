import { BootwrightError } from '../system/index.ts'
import { isVersion, parseBoolean } from './values.ts'

/** The letters behind `@` in sysupdate.d(5), MatchPattern=. */
export type PatternField = 'v' | 'u' | 'f' | 'a' | 'g' | 'r' | 't' | 'm' | 's' | 'd' | 'l' | 'h'

type PatternElement =
  | { readonly kind: 'literal'; readonly text: string }
  | { readonly kind: 'slash' }
  | { readonly kind: 'field'; readonly field: PatternField }

export interface Pattern {
  readonly text: string
  readonly elements: readonly PatternElement[]
  /** Begins with two stars and a slash: what follows is a file name, at any depth. */
  readonly isAnyDepth: boolean
}

/** What a name says about what it names. */
export interface PatternFields {
  readonly version: string
  /** With dashes, lower case. */
  readonly partitionUuid?: string
  readonly partitionFlags?: bigint
  readonly noAuto?: boolean
  readonly growFileSystem?: boolean
  readonly readOnly?: boolean
  readonly mtimeUs?: bigint
  readonly mode?: number
  /** In bytes, after decompression. */
  readonly size?: bigint
  readonly triesDone?: bigint
  readonly triesLeft?: bigint
  /** Lower-case hexadecimal, of the file as it is transferred. */
  readonly sha256?: string
}

const FIELDS: readonly string[] = [...'vufagrtmsdlh']
const ANY_DEPTH = '**/'
/** No literal may have these: control characters, and what shells and fnmatch(3) read as something else. */
const FORBIDDEN = /[$*?[\]!\\|]|(?=\p{ASCII})\p{Cc}/u

/** Reads a pattern; `INVALID_ARGUMENT` says what is wrong with it. Whether it may match at any depth, the caller knows. */
export function parsePattern(text: string): Pattern {
  const isAnyDepth = text.startsWith(ANY_DEPTH)
  const body = isAnyDepth ? text.slice(ANY_DEPTH.length) : text
  if (isAnyDepth && (body.includes('/') || body === '')) throw refused(text, 'a file name must follow **/')
  const elements: PatternElement[] = []
  const seen = new Set<string>()
  let literal = ''
  const flush = () => {
    if (literal !== '') elements.push({ kind: 'literal', text: literal })
    literal = ''
  }
  for (let index = 0; index < body.length; index++) {
    const character = body[index] ?? ''
    if (character === '/') {
      flush()
      elements.push({ kind: 'slash' })
    } else if (character !== '@') {
      if (FORBIDDEN.test(character)) throw refused(text, `${JSON.stringify(character)} is not allowed in it`)
      literal += character
    } else {
      const letter = body[++index] ?? ''
      if (letter === '@') literal += '@'
      else if (!FIELDS.includes(letter)) throw refused(text, `there is no field @${letter}`)
      else {
        flush()
        if (seen.has(letter)) throw refused(text, `it has @${letter} twice`)
        if (elements.at(-1)?.kind === 'field') throw refused(text, 'two fields need something between them')
        seen.add(letter)
        elements.push({ kind: 'field', field: letter as PatternField })
      }
    }
  }
  flush()
  if (!seen.has('v')) throw refused(text, 'it has no @v')
  return { text, elements, isAnyDepth }
}

/** The same for one depth only, as targets have it. */
export function withoutAnyDepth(pattern: Pattern): Pattern {
  return {
    text: pattern.text.slice(pattern.isAnyDepth ? ANY_DEPTH.length : 0),
    elements: pattern.elements,
    isAnyDepth: false,
  }
}

export type PatternMatch =
  | { readonly result: 'yes'; readonly fields: PatternFields }
  | { readonly result: 'no' }
  /** The text ends where the pattern goes on below a directory. */
  | { readonly result: 'descend' }

const NO: PatternMatch = { result: 'no' }

/**
 * Holds a path below the resource against a pattern. A field takes what stands in front of the first occurrence of the
 * literal that follows it; nothing is tried again.
 */
export function matchPattern(pattern: Pattern, path: string): PatternMatch {
  const text = pattern.isAnyDepth ? path.slice(path.lastIndexOf('/') + 1) : path
  const found: Partial<Record<PatternField, string>> = {}
  let position = 0
  for (const [index, element] of pattern.elements.entries()) {
    if (element.kind === 'literal') {
      if (!text.startsWith(element.text, position)) return NO
      position += element.text.length
    } else if (element.kind === 'slash') {
      if (position === text.length) return { result: 'descend' }
      if (text[position] !== '/') return NO
      position++
    } else {
      const end = fieldEnd(text, position, pattern.elements[index + 1])
      const value = text.slice(position, end)
      if (end < 0 || !isFieldText(element.field, value)) return NO
      found[element.field] = value
      position = end
    }
  }
  return position === text.length ? { result: 'yes', fields: fieldsOf(found) } : NO
}

export interface PatternsMatch {
  /** What the first pattern that fits says. */
  readonly fields: PatternFields | undefined
  /** Position of that pattern. */
  readonly index: number
  /** Whether any of them goes on below, if the path is a directory. */
  readonly isDescent: boolean
}

export function matchPatterns(patterns: readonly Pattern[], path: string): PatternsMatch {
  let isDescent = false
  let first: { fields: PatternFields; index: number } | undefined
  for (const [index, pattern] of patterns.entries()) {
    if (pattern.isAnyDepth) isDescent = true
    const match = matchPattern(pattern, path)
    if (match.result === 'descend') isDescent = true
    if (match.result === 'yes') first ??= { fields: match.fields, index }
  }
  return { fields: first?.fields, index: first?.index ?? -1, isDescent }
}

/** The path that a new instance has; `INVALID_ARGUMENT` when a field of the pattern has no value. */
export function formatPattern(pattern: Pattern, fields: PatternFields): string {
  return pattern.elements
    .map((element) => {
      if (element.kind === 'literal') return element.text
      if (element.kind === 'slash') return '/'
      const value = formatField(element.field, fields)
      if (value === undefined) {
        throw new BootwrightError(
          'INVALID_ARGUMENT',
          `The pattern "${pattern.text}" asks for @${element.field}, which is not known`,
          {
            hint: 'Take the field out of the target pattern, or name the source so that it tells the value.',
          },
        )
      }
      return value
    })
    .join('')
}

function fieldEnd(text: string, position: number, next: PatternElement | undefined): number {
  if (next === undefined) return text.length
  if (next.kind === 'literal') return text.indexOf(next.text, position)
  const slash = text.indexOf('/', position)
  return slash < 0 ? text.length : slash
}

const UUID = /^(?:[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/i
const MAX_U64 = 2n ** 64n - 1n
const MODES = 0o775

function isFieldText(field: PatternField, text: string): boolean {
  switch (field) {
    case 'v':
      return isVersion(text)
    case 'u':
      return UUID.test(text)
    case 'f':
      return /^(?:0x)?[0-9a-f]+$/i.test(text) && hexadecimal(text) <= MAX_U64
    case 'a':
    case 'g':
    case 'r':
      return parseBoolean(text) !== undefined
    case 'm':
      return /^[0-7]{1,12}$/.test(text) && (Number.parseInt(text, 8) & ~MODES) === 0
    case 't':
    case 's':
    case 'd':
    case 'l':
      return /^\d{1,20}$/.test(text) && BigInt(text) <= MAX_U64
    case 'h':
      return /^[0-9a-f]{64}$/i.test(text)
  }
}

function hexadecimal(text: string): bigint {
  return BigInt(
    `0x${text
      .replace(/^0x/i, '')
      .replace(/^0+(?=.)/, '')
      .padStart(1, '0')
      .slice(0, 17)}`,
  )
}

function fieldsOf(found: Partial<Record<PatternField, string>>): PatternFields {
  const { v = '', u, f, a, g, r, t, m, s, d, l, h } = found
  const fields: { -readonly [Field in keyof PatternFields]: PatternFields[Field] } = { version: v }
  if (u !== undefined) fields.partitionUuid = withDashes(u)
  if (f !== undefined) fields.partitionFlags = hexadecimal(f)
  if (a !== undefined) fields.noAuto = parseBoolean(a) === true
  if (g !== undefined) fields.growFileSystem = parseBoolean(g) === true
  if (r !== undefined) fields.readOnly = parseBoolean(r) === true
  if (t !== undefined) fields.mtimeUs = BigInt(t)
  if (m !== undefined) fields.mode = Number.parseInt(m, 8)
  if (s !== undefined) fields.size = BigInt(s)
  if (d !== undefined) fields.triesDone = BigInt(d)
  if (l !== undefined) fields.triesLeft = BigInt(l)
  if (h !== undefined) fields.sha256 = h.toLowerCase()
  return fields
}

/** A 128-bit identifier in lower case with dashes; undefined for any other text. */
export function parseId128(text: string): string | undefined {
  return UUID.test(text) ? withDashes(text) : undefined
}

function withDashes(uuid: string): string {
  return uuid
    .toLowerCase()
    .replaceAll('-', '')
    .replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
}

function formatField(field: PatternField, fields: PatternFields): string | undefined {
  switch (field) {
    case 'v':
      return fields.version
    case 'u':
      return fields.partitionUuid?.replaceAll('-', '')
    case 'f':
      return fields.partitionFlags?.toString(16)
    case 'a':
      return formatBoolean(fields.noAuto)
    case 'g':
      return formatBoolean(fields.growFileSystem)
    case 'r':
      return formatBoolean(fields.readOnly)
    case 't':
      return fields.mtimeUs?.toString()
    case 'm':
      return fields.mode?.toString(8).padStart(3, '0')
    case 's':
      return fields.size?.toString()
    case 'd':
      return fields.triesDone?.toString()
    case 'l':
      return fields.triesLeft?.toString()
    case 'h':
      return fields.sha256
  }
}

function formatBoolean(value: boolean | undefined): string | undefined {
  return value === undefined ? undefined : value ? '1' : '0'
}

function refused(pattern: string, problem: string): BootwrightError {
  return new BootwrightError('INVALID_ARGUMENT', `"${pattern.slice(0, 300)}" is no pattern: ${problem}`, {
    hint: 'sysupdate.d(5) describes MatchPattern=; "@@" is a literal "@".',
  })
}
