import { release } from 'node:os'
import { compareVersions } from '../formats/index.ts'
import { fitsGlob } from './glob.ts'
import { readOsRelease } from './host-specifiers.ts'

/** The version of systemd whose behaviour this is. */
const SYSTEMD = '262'

/** In the order in which they are looked for. `=` compares texts, `==` versions (systemd.unit(5), ConditionVersion=). */
const OPERATORS: Readonly<Record<string, (found: string, expected: string) => boolean>> = {
  '$=': (found, expected) => fitsGlob(found, expected),
  '!$=': (found, expected) => !fitsGlob(found, expected),
  '<>': (found, expected) => compareVersions(found, expected) !== 0,
  '<=': (found, expected) => compareVersions(found, expected) <= 0,
  '>=': (found, expected) => compareVersions(found, expected) >= 0,
  '<': (found, expected) => compareVersions(found, expected) < 0,
  '>': (found, expected) => compareVersions(found, expected) > 0,
  '==': (found, expected) => compareVersions(found, expected) === 0,
  '=': (found, expected) => found === expected,
  '!=': (found, expected) => found !== expected,
}

/** `SuggestOnVersion=`: of the kernel, or of what is named. Undefined where it is no expression. */
export function judgeVersion(parameter: string): boolean | undefined {
  const [, what = '', rest = ''] = /^([^!<=>$\s]*)(.*)$/s.exec(parameter) ?? []
  if (what === 'systemd') return comparesAll(SYSTEMD, rest)
  if (what === 'glibc') {
    const version = glibcVersion()
    return version === undefined ? false : comparesAll(version, rest)
  }
  return comparesAll(release(), what === 'kernel' ? rest : parameter)
}

/** `SuggestOnOSRelease=`: fields of os-release(5), all of them. Undefined where it is no expression. */
export function judgeOsRelease(parameter: string): boolean | undefined {
  const words = new WordReader(parameter)
  for (let word = words.next(true); word !== undefined; word = words.next(true)) {
    const [, key = '', rest = ''] = /^[!<=>$]*([^!<=>$]*)(.*)$/s.exec(word) ?? []
    const compared = operatorOf(rest)
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(key) || compared === undefined || !/^\S/.test(compared.expected)) {
      return undefined
    }
    // What is not there is the same as what is empty.
    if (!compared.holds(readOsRelease('/').get(key) ?? '', compared.expected)) return false
  }
  return words.isBroken ? undefined : true
}

/** `smbios-field(FIELD OPERATOR VALUE)` of `SuggestOnFirmware=`, without its name. Undefined where it is no expression. */
export function judgeField(expression: string, read: (field: string) => string | undefined): boolean | undefined {
  const [, field = '', rest = ''] = /^[!<=>$]*([^!<=>$]*)(.*)$/s.exec(expression) ?? []
  const compared = operatorOf(rest)
  if (compared === undefined) return undefined
  const words = new WordReader(compared.expected)
  const expected = words.next(true)
  if (expected === undefined || words.next(true) !== undefined || words.isBroken) return undefined
  if (!/^[^/]+$/.test(field.trimEnd())) return undefined
  const found = read(field.trimEnd())
  return found === undefined ? false : compared.holds(found.trimEnd(), expected)
}

/** Expressions, all of which must hold. Between the first operator and its value may be white space. */
function comparesAll(found: string, text: string): boolean | undefined {
  const words = new WordReader(text)
  let isFirst = true
  for (let word = words.next(true); word !== undefined; word = words.next(true)) {
    const { holds, expected } = operatorOf(word.trim()) ?? { holds: fitsGlob, expected: word.trim() }
    let value: string | undefined = expected.trimStart()
    if (value === '') value = isFirst ? words.next(false) : undefined
    if (value === undefined) return undefined
    if (!holds(found, value)) return false
    isFirst = false
  }
  return words.isBroken ? undefined : true
}

function operatorOf(
  text: string,
): { readonly holds: (found: string, expected: string) => boolean; readonly expected: string } | undefined {
  for (const [sign, holds] of Object.entries(OPERATORS)) {
    if (text.startsWith(sign)) return { holds, expected: text.slice(sign.length) }
  }
  return undefined
}

/** Words between white space, one after the other; a backslash stands for what follows it. */
class WordReader {
  #rest: string
  /** A quote that is not closed, or nothing behind a backslash. */
  isBroken = false

  constructor(text: string) {
    this.#rest = text
  }

  /** Undefined at the end, and where it is broken. */
  next(hasQuotes: boolean): string | undefined {
    const piece = hasQuotes ? /\\.|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[^\s"'\\]/sy : /\\.|[^\s\\]/sy
    this.#rest = this.#rest.trimStart()
    if (this.#rest === '') return undefined
    let word = ''
    for (let match = piece.exec(this.#rest); match !== null; match = piece.exec(this.#rest)) {
      const [text] = match
      const bare = hasQuotes && /^["']/.test(text) ? text.slice(1, -1) : text
      word += bare.replaceAll(/\\(.)/gs, '$1')
      this.#rest = this.#rest.slice(text.length)
      piece.lastIndex = 0
    }
    if (/^\s|^$/.test(this.#rest)) return word
    this.isBroken = true
    return undefined
  }
}

/** Of the C library that this program runs with; undefined with another one. */
function glibcVersion(): string | undefined {
  const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } }
  return header.glibcVersionRuntime
}
