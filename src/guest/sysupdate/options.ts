import { resolve } from 'node:path'
import { isComponentName } from '../../sysupdate/index.ts'
import { closest } from '../closest.ts'
import { type OptionSpec, parseArguments } from '../getopt.ts'
import type { JsonFormat } from '../json-format.ts'
import { parseBoolean } from '../parse-values.ts'
import { ToolFailure } from '../tool-failure.ts'

const READING = ['list', 'features', 'check-new', 'pending', 'components'] as const
type ReadingVerb = (typeof READING)[number]
/** In the order in which the original looks for the nearest one. */
const VERBS: readonly string[] = [
  'list',
  'features',
  'enable-feature',
  'disable-feature',
  'check-new',
  'update',
  'acquire',
  'vacuum',
  'cleanup',
  'pending',
  'reboot',
  'components',
  'enable-component',
  'disable-component',
  'help',
]
const TAKES_ONE: readonly string[] = ['list', 'features']
const JSON_FORMATS: readonly string[] = ['pretty', 'short', 'off']

/** A command line of systemd-sysupdate(8). */
export interface SysupdateOptions {
  readonly verb: ReadingVerb | 'help' | 'version' | 'json-formats'
  /** The version or feature that is asked for. */
  readonly name: string | undefined
  readonly component: string | undefined
  /** Absolute. */
  readonly definitions: string | undefined
  /** Absolute, `/` for the running system. */
  readonly root: string
  readonly transferSource: string | undefined
  /** In place of what each transfer says. */
  readonly verify: boolean | undefined
  readonly isOffline: boolean
  readonly hasLegend: boolean
  readonly json: JsonFormat
  /** Whether to do as systemd 262 does where that is a fault. */
  readonly compat: boolean
}

const SPECS: readonly OptionSpec[] = [
  { long: 'help', short: 'h' },
  { long: 'version' },
  { long: 'component', short: 'C', takes: 'argument' },
  { long: 'component-all', short: 'A' },
  { long: 'component-suggested', short: 'S' },
  { long: 'feature-all', short: 'a' },
  { long: 'feature-suggested', short: 's' },
  { long: 'definitions', takes: 'argument' },
  { long: 'root', takes: 'argument' },
  { long: 'image', takes: 'argument' },
  { long: 'transfer-source', takes: 'argument' },
  { long: 'instances-max', short: 'm', takes: 'argument' },
  { long: 'sync', takes: 'argument' },
  { long: 'verify', takes: 'argument' },
  { long: 'offline' },
  { long: 'cleanup', takes: 'argument' },
  { long: 'no-pager' },
  { long: 'no-legend' },
  { long: 'json', takes: 'argument' },
  { long: 'bug-compat', takes: 'argument' },
]

/** Reads the command line: each option is judged where it stands, then what they are together, as the original does. */
export function parseSysupdateOptions(argv: readonly string[]): SysupdateOptions {
  const { options, words } = parseArguments('systemd-sysupdate', SPECS, argv)
  const read = {
    component: undefined as string | undefined,
    definitions: undefined as string | undefined,
    root: undefined as string | undefined,
    transferSource: undefined as string | undefined,
    verify: undefined as boolean | undefined,
    isOffline: false,
    hasLegend: true,
    json: 'off' as JsonFormat,
    compat: false,
  }
  let [isForComponents, isForFeatures] = [false, false]
  const done = (verb: SysupdateOptions['verb'], name?: string): SysupdateOptions => {
    return { ...read, root: read.root ?? '/', verb, name }
  }
  for (const { name, value = '' } of options) {
    if (name === 'help' || name === 'version') return done(name)
    if (name === 'json' && value === 'help') return done('json-formats')
    if (name === 'component') read.component = value === '' ? undefined : componentOf(value)
    else if (name === 'definitions') read.definitions = pathOf(value)
    else if (name === 'root') read.root = rootOf(value)
    else if (name === 'transfer-source') read.transferSource = pathOf(value)
    else if (name === 'verify') read.verify = booleanOf(name, value)
    else if (name === 'sync' || name === 'cleanup') booleanOf(name, value)
    else if (name === 'instances-max') checkInstancesMax(value)
    else if (name === 'image') throw new ToolFailure('Disk images cannot be looked into: use --root= on a mounted one.')
    else if (name === 'json') read.json = jsonOf(value)
    else if (name === 'offline') read.isOffline = true
    else if (name === 'no-legend') read.hasLegend = false
    else if (name === 'bug-compat') read.compat = value === '262'
    else if (name.startsWith('component-')) isForComponents = true
    else if (name.startsWith('feature-')) isForFeatures = true
  }
  if (read.definitions !== undefined && read.root !== undefined) {
    throw new ToolFailure('The --definitions= switch may not be combined with --root= or --image=.')
  }
  if (read.definitions !== undefined && (isForComponents || read.component !== undefined)) {
    throw new ToolFailure(
      'The --definitions= and --component=/--component-all/--component-suggested switches may not be combined.',
    )
  }
  const [word = 'list', ...names] = words
  if (word === 'help') return done('help')
  const verb = readingVerb(word)
  if (names.length > (TAKES_ONE.includes(verb) ? 1 : 0)) throw new ToolFailure('Too many arguments.')
  if (isForFeatures) throw new ToolFailure(`--feature-all/--feature-suggested is not supported for '${verb}'.`)
  if (verb === 'pending') {
    if (read.root !== undefined) {
      throw new ToolFailure("The --root=/--image= switches may not be combined with the 'pending' operation.")
    }
    if (read.component !== undefined || isForComponents) {
      throw new ToolFailure(
        "The --component=, --component-all and --component-suggested switches may not be combined with the 'pending' operation, which only applies to the booted OS version.",
      )
    }
  }
  if (isForComponents) {
    throw new ToolFailure(`--component-all/--component-suggested currently not supported for '${verb}'.`)
  }
  if (verb === 'components' && read.definitions !== undefined) {
    throw new ToolFailure("The --definitions= switch may not be combined with 'components'.")
  }
  return done(verb, names[0])
}

function readingVerb(word: string): ReadingVerb {
  const verb = READING.find((name) => name === word)
  if (verb !== undefined) return verb
  if (VERBS.includes(word)) {
    throw new ToolFailure(`'${word}' changes the system, which this program cannot do: it has ${READING.join(', ')}.`)
  }
  const near = closest(word, VERBS)
  throw new ToolFailure(`Unknown command verb '${word}'${near === undefined ? '.' : `, did you mean '${near}'?`}`)
}

function componentOf(text: string): string {
  if (!isComponentName(text)) throw new ToolFailure(`Component name invalid: ${text}`)
  return text
}

function pathOf(text: string): string | undefined {
  return text === '' ? undefined : resolve(text)
}

function rootOf(text: string): string | undefined {
  const path = pathOf(text)
  return path === '/' ? undefined : path
}

function booleanOf(name: string, text: string): boolean {
  const truth = parseBoolean(text)
  if (truth === undefined) throw new ToolFailure(`Failed to parse boolean argument to '--${name}=': ${text}`)
  return truth
}

/** Nothing that reads has a use for it. */
function checkInstancesMax(text: string): void {
  if (!/^\d+$/.test(text)) throw new ToolFailure(`Failed to parse --instances-max= parameter: ${text}`)
}

function jsonOf(text: string): JsonFormat {
  if (!JSON_FORMATS.includes(text)) throw new ToolFailure(`Unknown argument to --json= switch: ${text}`)
  return text as JsonFormat
}
