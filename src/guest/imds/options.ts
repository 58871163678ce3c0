import { isKey, MIN_REFRESH_USEC, parseWellKnown, takesKey, type WellKnown } from '../../imds/index.ts'
import { type OptionSpec, parseArguments } from '../getopt.ts'
import { parseBoolean, parseTimeSpan } from '../parse-values.ts'
import { ToolFailure } from '../tool-failure.ts'

/** A command line of systemd-imds(1). */
export interface ImdsOptions {
  readonly verb: 'help' | 'version' | 'well-known-names' | 'summary' | 'get' | 'userdata' | 'import'
  readonly wellKnown: WellKnown | undefined
  readonly key: string | undefined
  /** Undefined when nothing was said of it. */
  readonly refreshUSec: number | undefined
  readonly cache: boolean | undefined
  /** Whether to do as systemd 262 does where that is a fault. */
  readonly compat: boolean
}

const SPECS: readonly OptionSpec[] = [
  { long: 'help', short: 'h' },
  { long: 'version' },
  { long: 'well-known', short: 'K', takes: 'argument' },
  { long: 'refresh', takes: 'argument' },
  { long: 'cache', takes: 'argument' },
  { long: 'userdata', short: 'u' },
  { long: 'import' },
  { long: 'bug-compat', takes: 'argument' },
]

/** Reads the command line; each option is judged where it stands, as the original does. */
export function parseImdsOptions(argv: readonly string[]): ImdsOptions {
  const { options, words } = parseArguments('systemd-imds', SPECS, argv)
  let verb: ImdsOptions['verb'] | undefined
  let wellKnown: WellKnown | undefined
  let refreshUSec: number | undefined
  let cache: boolean | undefined
  let compat = false
  for (const { name, value = '' } of options) {
    if (name === 'help' || name === 'version' || (name === 'well-known' && value === 'help')) {
      const early = name === 'well-known' ? 'well-known-names' : name
      return { verb: early, wellKnown, key: undefined, refreshUSec, cache, compat }
    }
    if (name === 'well-known') wellKnown = value === '' ? undefined : wellKnownOf(value)
    else if (name === 'refresh') refreshUSec = value === '' ? undefined : refreshOf(value)
    else if (name === 'cache') cache = cacheOf(value)
    else if (name === 'bug-compat') compat = value === '262'
    else verb = name === 'import' ? 'import' : 'userdata'
  }
  const [key, ...more] = words
  const common = { wellKnown, key, refreshUSec, cache, compat }
  if (verb !== undefined) {
    if (key !== undefined) throw new ToolFailure('No parameters expected.')
    return { ...common, verb }
  }
  if (more.length > 0) throw new ToolFailure('None or one argument expected.')
  if (key !== undefined && !isKey(key)) throw new ToolFailure(`Specified IMDS key is not valid, refusing: ${key}`)
  if (key !== undefined && wellKnown !== undefined && !takesKey(wellKnown)) {
    throw new ToolFailure(`Well known key '${wellKnown}' does not take a key suffix, refusing.`)
  }
  return { ...common, verb: key === undefined && wellKnown === undefined ? 'summary' : 'get' }
}

function wellKnownOf(text: string): WellKnown {
  const name = parseWellKnown(text)
  if (name === undefined) throw new ToolFailure(`Failed to parse --well-known= parameter: ${text}`)
  return name
}

function refreshOf(text: string): number {
  const usec = parseTimeSpan(text)
  if (usec === undefined) throw new ToolFailure(`Failed to parse refresh timeout: ${text}`)
  return Math.max(usec, MIN_REFRESH_USEC)
}

function cacheOf(text: string): boolean | undefined {
  if (text === '' || text === 'auto') return undefined
  const truth = parseBoolean(text)
  if (truth === undefined) throw new ToolFailure(`Failed to parse --cache= parameter: ${text}`)
  return truth
}
