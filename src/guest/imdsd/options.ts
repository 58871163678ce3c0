import { isIPv4, isIPv6 } from 'node:net'
import {
  DEFAULT_MARK,
  DEFAULT_REFRESH_USEC,
  type Endpoint,
  isKey,
  MIN_REFRESH_USEC,
  parseWellKnown,
  type WellKnown,
} from '../../imds/index.ts'
import { interfaceIndex, interfaceName } from '../../system/index.ts'
import { type OptionSpec, parseArguments } from '../getopt.ts'
import { parseBoolean, parseTimeSpan, parseUint32 } from '../parse-values.ts'
import { ToolFailure } from '../tool-failure.ts'

/** A command line of systemd-imdsd. */
export interface ImdsdOptions {
  readonly verb: 'help' | 'version' | 'setup-network' | 'get'
  readonly interfaceIndex: number | undefined
  readonly refreshUSec: number
  readonly mark: number | undefined
  readonly cache: boolean
  readonly wait: boolean
  readonly wellKnown: WellKnown | undefined
  readonly words: readonly string[]
  readonly endpoint: Endpoint
  /** Whether to do as systemd 262 does where that is a fault. */
  readonly compat: boolean
  /** Whether `locked` goes by the number of the broker's user. */
  readonly isLockHardened: boolean
}

const SPECS: readonly OptionSpec[] = [
  { long: 'help', short: 'h' },
  { long: 'version' },
  { long: 'interface', short: 'i', takes: 'argument' },
  { long: 'refresh', takes: 'argument' },
  { long: 'fwmark', takes: 'argument' },
  { long: 'cache', takes: 'argument' },
  { long: 'wait', takes: 'argument' },
  { short: 'w' },
  { long: 'well-known', short: 'K', takes: 'argument' },
  { long: 'setup-network' },
  { long: 'vendor', takes: 'argument' },
  { long: 'token-url', takes: 'argument' },
  { long: 'refresh-header-name', takes: 'argument' },
  { long: 'data-url', takes: 'argument' },
  { long: 'data-url-suffix', takes: 'argument' },
  { long: 'token-header-name', takes: 'argument' },
  { long: 'extra-header', takes: 'argument' },
  { long: 'address-ipv4', takes: 'argument' },
  { long: 'address-ipv6', takes: 'argument' },
  { long: 'well-known-key', takes: 'argument' },
  { long: 'bug-compat', takes: 'argument' },
  { long: 'hardened-lock' },
]

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

/** Reads the command line; each option is judged where it stands, as the original does. */
export function parseImdsdOptions(argv: readonly string[]): ImdsdOptions {
  const { options, words } = parseArguments('systemd-imdsd', SPECS, argv)
  const endpoint: Mutable<Endpoint> = {}
  const parsed: Mutable<ImdsdOptions> = {
    verb: 'get',
    interfaceIndex: undefined,
    refreshUSec: DEFAULT_REFRESH_USEC,
    mark: DEFAULT_MARK,
    cache: true,
    wait: false,
    wellKnown: undefined,
    words,
    endpoint,
    compat: false,
    isLockHardened: false,
  }
  for (const { name, value = '' } of options) {
    if (name === 'help' || name === 'version') return { ...parsed, verb: name }
    if (name === 'setup-network') parsed.verb = name
    else if (name === 'interface') parsed.interfaceIndex = value === '' ? undefined : interfaceOf(value)
    else if (name === 'refresh') parsed.refreshUSec = value === '' ? DEFAULT_REFRESH_USEC : refreshOf(value)
    else if (name === 'fwmark') parsed.mark = markOf(value)
    else if (name === 'cache' || name === 'wait') parsed[name] = truthOf(name, value)
    else if (name === 'w') parsed.wait = true
    else if (name === 'well-known') parsed.wellKnown = value === '' ? undefined : wellKnownOf(value)
    else if (name === 'bug-compat') parsed.compat = isVersion262(value)
    else if (name === 'hardened-lock') parsed.isLockHardened = true
    else readEndpoint(endpoint, name, value)
  }
  return parsed
}

/** Options that give a field one text, and what that text has to be. */
const TEXTS: Readonly<
  Record<
    string,
    readonly [field: Exclude<keyof Endpoint, 'extraHeader' | 'wellKnown'>, check: (text: string) => string]
  >
> = {
  vendor: ['vendor', (text) => text],
  'token-url': ['tokenUrl', urlOf],
  'data-url': ['dataUrl', urlOf],
  'data-url-suffix': ['dataUrlSuffix', (text) => text],
  'refresh-header-name': ['refreshHeaderName', headerNameOf],
  'token-header-name': ['tokenHeaderName', headerNameOf],
  'address-ipv4': ['addressIPv4', (text) => addressOf(text, 'IPv4', isIPv4)],
  'address-ipv6': ['addressIPv6', (text) => addressOf(text, 'IPv6', isIPv6)],
}

/** An empty value takes back what was said before. */
function readEndpoint(endpoint: Mutable<Endpoint>, name: string, value: string): void {
  const text = TEXTS[name]
  if (text !== undefined) {
    const [field, check] = text
    if (value === '') delete endpoint[field]
    else endpoint[field] = check(value)
  } else if (name === 'extra-header') {
    if (value === '') delete endpoint.extraHeader
    else endpoint.extraHeader = [...(endpoint.extraHeader ?? []), headerOf(value)]
  } else if (value === '') delete endpoint.wellKnown
  else endpoint.wellKnown = { ...endpoint.wellKnown, ...pathOf(value) }
}

function interfaceOf(text: string): number {
  const number = /^[1-9]\d{0,9}$/.test(text) ? Number(text) : undefined
  const index = number === undefined ? interfaceIndex(text) : interfaceName(number) && number
  if (index === undefined || index === '') throw new ToolFailure(`There is no network interface "${text}".`)
  return index
}

function refreshOf(text: string): number {
  const usec = parseTimeSpan(text)
  if (usec === undefined) throw new ToolFailure(`Failed to parse refresh timeout: ${text}`)
  return Math.max(usec, MIN_REFRESH_USEC)
}

function markOf(text: string): number | undefined {
  if (text === '') return undefined
  const mark = text === 'default' ? DEFAULT_MARK : parseUint32(text)
  if (mark === undefined) throw new ToolFailure(`Failed to parse --fwmark= parameter: ${text}`)
  return mark
}

function truthOf(name: string, text: string): boolean {
  const truth = parseBoolean(text)
  if (truth === undefined) throw new ToolFailure(`Failed to parse --${name}= parameter: ${text}`)
  return truth
}

function wellKnownOf(text: string): WellKnown {
  const name = parseWellKnown(text)
  if (name === undefined) throw new ToolFailure(`Failed to parse --well-known= parameter: ${text}`)
  return name
}

function isVersion262(text: string): boolean {
  if (text === '262' || text === '') return text === '262'
  throw new ToolFailure(`--bug-compat= knows the faults of 262, not of "${text}".`)
}

function urlOf(text: string): string {
  if (!/^https?:\/\/./.test(text)) throw new ToolFailure(`Invalid URL: ${text}`)
  return text
}

function headerNameOf(text: string): string {
  if (!/^[\x21-\x39\x3b-\x7e]+$/.test(text)) throw new ToolFailure(`Invalid HTTP header name: ${text}`)
  return text
}

function headerOf(text: string): string {
  if (!/^[^:]+:/.test(text) || /\p{Cc}/u.test(text)) throw new ToolFailure(`Invalid HTTP header: ${text}`)
  return text
}

function addressOf(text: string, family: string, isAddress: (text: string) => boolean): string {
  if (!isAddress(text)) throw new ToolFailure(`Failed to parse ${family} address: ${text}`)
  return text
}

function pathOf(text: string): Partial<Record<WellKnown, string>> {
  const colon = text.indexOf(':')
  if (colon < 0) throw new ToolFailure('--well-known-key= expects colon separated name and key pairs.')
  const [name, path] = [parseWellKnown(text.slice(0, colon)), text.slice(colon + 1)]
  if (name === undefined) throw new ToolFailure(`Failed to parse --well-known-key= argument: ${text}`)
  if (!isKey(path)) throw new ToolFailure(`Well known key '${path}' is not valid.`)
  return { [name]: path }
}
