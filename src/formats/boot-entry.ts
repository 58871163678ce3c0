import { keyValueLines } from './efi-text.ts'

/** What a Type #1 entry starts. */
export type BootEntryKind = 'linux' | 'uki' | 'uki-url' | 'efi'

/** A boot loader entry of Type #1, `loader/entries/*.conf` (UAPI.1 Boot Loader Specification). */
export interface BootEntryFile {
  readonly kind: BootEntryKind
  /** The file to start, with `\` between its components; an URL for `uki-url`. */
  readonly target: string
  readonly title?: string
  readonly sortKey?: string
  readonly version?: string
  readonly machineId?: string
  readonly architecture?: string
  /** All `options` lines, joined with a space. Undefined without any, which is not the same as an empty one. */
  readonly options?: string
  readonly initrds: readonly string[]
  /** Credentials and extension images, with `\` between components. */
  readonly extras: readonly string[]
  /** The profile of a UKI. */
  readonly profile?: number
}

const KINDS: ReadonlySet<string> = new Set(['linux', 'uki', 'uki-url', 'efi'])

/** Reads an entry as systemd-boot does: unknown keys are ignored. Undefined if it names nothing to start, or two kinds. */
export function parseBootEntry(bytes: Uint8Array): BootEntryFile | undefined {
  const single = new Map<string, string>()
  const options: string[] = []
  const initrds: string[] = []
  const extras: string[] = []
  let kind: BootEntryKind | undefined
  for (const [key, value] of keyValueLines(bytes, ' \t')) {
    if (isKind(key)) {
      if (kind !== undefined && kind !== key) return undefined
      kind = key
      single.set('target', key === 'uki-url' ? value : efiPath(value))
    } else if (key === 'options') options.push(value)
    else if (key === 'initrd') initrds.push(efiPath(value))
    else if (key === 'extra') extras.push(efiPath(value))
    else single.set(key, value)
  }
  const target = single.get('target')
  if (kind === undefined || target === undefined) return undefined
  const profile = single.get('profile')
  return {
    kind,
    target,
    initrds,
    extras,
    ...named('title', single.get('title')),
    ...named('sortKey', single.get('sort-key')),
    ...named('version', single.get('version')),
    ...named('machineId', single.get('machine-id')),
    ...named('architecture', single.get('architecture')),
    ...named('options', options.length === 0 ? undefined : options.join(' ')),
    ...(profile !== undefined && /^\d{1,9}$/.test(profile) ? { profile: Number(profile) } : {}),
  }
}

function isKind(key: string): key is BootEntryKind {
  return KINDS.has(key)
}

function named<Name extends string>(name: Name, value: string | undefined): { readonly [key in Name]?: string } {
  return value === undefined ? {} : ({ [name]: value } as { [key in Name]: string })
}

/** A path as the firmware wants it: `\` between components, never two in a row. */
export function efiPath(path: string): string {
  return path.replaceAll(/[\\/]+/g, '\\')
}

/** What `loader/loader.conf` says on the choice of an entry; the rest of it changes no measurement but that of the file. */
export interface LoaderConf {
  /** A pattern for the identifier, or `@saved`. */
  readonly default?: string
  /** The same, but an entry that has no tries left is passed over (systemd 261). */
  readonly preferred?: string
  /** `secure-boot-enroll`: `off`, `manual`, `if-safe` or `force`. */
  readonly secureBootEnroll?: string
}

export function parseLoaderConf(bytes: Uint8Array): LoaderConf {
  const values = new Map(keyValueLines(bytes, ' \t'))
  return {
    ...named('default', values.get('default')),
    ...named('preferred', values.get('preferred')),
    ...named('secureBootEnroll', values.get('secure-boot-enroll')),
  }
}

/** A boot counter in a file name: `name+LEFT[-DONE].conf` or `.efi`. */
export interface BootCounter {
  /** The name without it. */
  readonly name: string
  readonly left: number
  readonly done: number
}

/** The counter directly in front of a suffix, `.conf` or `.efi`; undefined without one. */
export function parseBootCounter(fileName: string, suffix: string): BootCounter | undefined {
  const match = /^(.*)\+(\d{1,10})(?:-(\d{1,10}))?(\.[^.+]*)$/s.exec(fileName)
  const [, stem, left, done = '0', found] = match ?? []
  if (stem === undefined || left === undefined || found?.toLowerCase() !== suffix.toLowerCase()) return undefined
  const counts = { left: Number(left), done: Number(done) }
  const isTooLarge = counts.left > 0x7fffffff || counts.done > 0x7fffffff
  return isTooLarge ? undefined : { name: `${stem}${found}`, ...counts }
}

/** A part of a pattern: any run of characters, or a test of one. */
type PatternPart = 'any' | ((character: string) => boolean)

/**
 * Whether a pattern of the kind of fnmatch(3) fits the whole text: `*`, `?`, `[a-z]` and `\` before a character that
 * stands for itself. There is no negation. Takes at most as many steps as pattern times text, whatever they are.
 */
export function matchesEntryPattern(pattern: string, text: string): boolean {
  const parts = patternParts(pattern)
  if (parts === undefined) return false
  let [part, position] = [0, 0]
  let last: { part: number; position: number } | undefined
  for (;;) {
    const test = parts[part]
    const character = text[position]
    if (test === 'any') {
      last = { part: ++part, position }
    } else if (test !== undefined && character !== undefined && test(character)) {
      part++
      position++
    } else if (test === undefined && character === undefined) {
      return true
    } else if (last !== undefined && last.position < text.length) {
      // What the last run left over did not fit: it takes one character more.
      last.position++
      ;({ part, position } = last)
    } else {
      return false
    }
  }
}

function patternParts(pattern: string): PatternPart[] | undefined {
  const parts: PatternPart[] = []
  for (let index = 0; index < pattern.length; index++) {
    const character = pattern[index] ?? ''
    if (character === '*') parts.push('any')
    else if (character === '?') parts.push(() => true)
    else if (character === '[') {
      const set = readSet(pattern, index + 1)
      if (set === undefined) return undefined
      parts.push(set.test)
      index = set.end
    } else {
      const meant = character === '\\' ? pattern[++index] : character
      if (meant === undefined) return undefined
      parts.push((found) => found === meant)
    }
  }
  return parts
}

/** A set from behind its `[`, and where its `]` is. A `]` comes first if it is meant, a `-` first or last. */
function readSet(pattern: string, start: number): { test: (character: string) => boolean; end: number } | undefined {
  const ranges: (readonly [low: string, high: string])[] = []
  let low: string | undefined
  for (let index = start; index < pattern.length; index++) {
    let character = pattern[index] ?? ''
    if (character === ']' && index > start) {
      return { test: (found) => ranges.some(([from, to]) => from <= found && found <= to), end: index }
    }
    const isRange = character === '-' && low !== undefined && pattern[index + 1] !== ']'
    if (isRange) character = pattern[++index] ?? ''
    if (character === '\\') character = pattern[++index] ?? ''
    if (character === '') return undefined
    ranges.push([isRange && low !== undefined ? low : character, character])
    // Ranges do not chain: in a-c-f the second hyphen is one.
    low = isRange ? undefined : character
  }
  return undefined
}

/** What an os-release file says, as systemd-boot reads the one in a UKI (os-release(5)). */
export function parseOsRelease(bytes: Uint8Array): ReadonlyMap<string, string> {
  return new Map(keyValueLines(bytes, '='))
}
