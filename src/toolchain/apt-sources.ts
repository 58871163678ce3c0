/** One package source as sources.list(5) describes it, of either format. */
export interface AptSource {
  readonly uris: readonly string[]
  readonly suites: readonly string[]
  readonly components: readonly string[]
  /** Absolute paths of keyring files; empty when all trusted keys count. */
  readonly keyrings: readonly string[]
  /** A key that stands in the source itself, ASCII-armoured. */
  readonly embeddedKey: string | undefined
  /** `Check-Valid-Until` of this source, or undefined when the global setting holds. */
  readonly checkValidUntil: boolean | undefined
}

/** Reads the one-line format (`*.list`). Lines that are not binary package sources are skipped. */
export function parseListFile(text: string): AptSource[] {
  const sources: AptSource[] = []
  for (const line of text.split('\n')) {
    const match = /^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+([^#]*)/.exec(line)
    if (match === null) continue
    const options = new Map<string, string>()
    for (const option of (match[1] ?? '').split(/\s+/)) {
      const equals = option.indexOf('=')
      if (equals > 0) options.set(option.slice(0, equals).replace(/[+-]$/, '').toLowerCase(), option.slice(equals + 1))
    }
    const [suite, ...components] = words(match[3] ?? '')
    if (suite === undefined) continue
    sources.push({
      uris: [match[2] ?? ''],
      suites: [suite],
      components,
      keyrings: (options.get('signed-by') ?? '').split(',').filter((word) => word.startsWith('/')),
      embeddedKey: undefined,
      checkValidUntil: yesNo(options.get('check-valid-until')),
    })
  }
  return sources
}

/** Reads the deb822 format (`*.sources`). Stanzas that are disabled or hold no binary packages are skipped. */
export function parseSourcesFile(text: string): AptSource[] {
  const sources: AptSource[] = []
  for (const stanza of parseDeb822(text)) {
    if (yesNo(stanza.get('enabled')) === false || !words(stanza.get('types') ?? '').includes('deb')) continue
    const signedBy = stanza.get('signed-by') ?? ''
    sources.push({
      uris: words(stanza.get('uris') ?? ''),
      suites: words(stanza.get('suites') ?? ''),
      components: words(stanza.get('components') ?? ''),
      keyrings: signedBy.split(/[\s,]+/).filter((word) => word.startsWith('/')),
      embeddedKey: signedBy.includes('-----BEGIN PGP') ? `${signedBy.trim()}\n` : undefined,
      checkValidUntil: yesNo(stanza.get('check-valid-until')),
    })
  }
  return sources
}

/**
 * The stanzas of a deb822 text as maps from lower-case field name to value. Continuation lines are joined by line
 * breaks without their indentation, and a lone `.` stands for an empty line.
 */
export function parseDeb822(text: string): Map<string, string>[] {
  const stanzas: Map<string, string>[] = []
  let stanza = new Map<string, string>()
  let field = ''
  const finish = (): void => {
    if (stanza.size > 0) stanzas.push(stanza)
    stanza = new Map()
    field = ''
  }
  for (const line of text.split('\n')) {
    if (line.startsWith('#')) continue
    if (line.trim() === '') {
      finish()
      continue
    }
    if (/^\s/.test(line)) {
      const more = line.trim() === '.' ? '' : line.trim()
      if (field !== '') stanza.set(field, `${stanza.get(field)}\n${more}`)
      continue
    }
    const colon = line.indexOf(':')
    if (colon <= 0) continue
    field = line.slice(0, colon).toLowerCase()
    stanza.set(field, line.slice(colon + 1).trim())
  }
  finish()
  return stanzas
}

function words(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== '')
}

/** apt's idea of a truth value; undefined when it is not given or not one. */
export function yesNo(word: string | undefined): boolean | undefined {
  if (word === undefined) return undefined
  if (/^(yes|true|with|on|enable|1)$/i.test(word)) return true
  if (/^(no|false|without|off|disable|0)$/i.test(word)) return false
  return undefined
}
