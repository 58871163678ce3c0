import { resolve } from 'node:path'
import { isComponentName } from '../../sysupdate/index.ts'
import { type OptionSpec, parseArguments } from '../getopt.ts'
import type { JsonFormat } from '../json-format.ts'
import { parseBoolean } from '../parse-values.ts'
import { ToolFailure } from '../tool-failure.ts'
import { type Verb, verbOf } from './verbs.ts'

const JSON_FORMATS: readonly string[] = ['pretty', 'short', 'off']

/** What a verb is about: what is named, everything, or what is suggested. */
export type Selection = 'named' | 'all' | 'suggested'

/** A command line of systemd-sysupdate(8). */
export interface SysupdateOptions {
  readonly verb: Verb | 'help' | 'version' | 'json-formats'
  /** What stands behind the verb: a version, a feature, … */
  readonly names: readonly string[]
  readonly component: string | undefined
  readonly components: Selection
  readonly features: Selection
  /** Absolute. */
  readonly definitions: string | undefined
  /** Absolute, `/` for the running system. */
  readonly root: string
  /** Absolute: a disk in place of the system's. */
  readonly image: string | undefined
  readonly transferSource: string | undefined
  /** In place of what each transfer says. */
  readonly instancesMax: number | undefined
  readonly verify: boolean | undefined
  readonly isSynced: boolean
  readonly isOffline: boolean
  readonly reboots: boolean
  /** Whether files that nobody owns any more go as well; undefined where it was not said. */
  readonly cleansUp: boolean | undefined
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
  { long: 'reboot' },
  { long: 'offline' },
  { long: 'cleanup', takes: 'argument' },
  { long: 'no-pager' },
  { long: 'no-legend' },
  { long: 'json', takes: 'argument' },
  { long: 'bug-compat', takes: 'argument' },
]

/** Reads the command line: each option is judged where it stands, then what they are together, as the original does. */
export function parseSysupdateOptions(
  argv: readonly string[],
  environment: Readonly<Record<string, string | undefined>> = {},
): SysupdateOptions {
  const { options, words } = parseArguments('systemd-sysupdate', SPECS, argv)
  const read = {
    component: undefined as string | undefined,
    components: 'named' as Selection,
    features: 'named' as Selection,
    definitions: undefined as string | undefined,
    root: undefined as string | undefined,
    image: undefined as string | undefined,
    transferSource: undefined as string | undefined,
    instancesMax: undefined as number | undefined,
    verify: undefined as boolean | undefined,
    isSynced: true,
    isOffline: false,
    reboots: false,
    cleansUp: undefined as boolean | undefined,
    hasLegend: true,
    json: 'off' as JsonFormat,
    // For who calls us by the name of the original, and gives no options of ours.
    compat: environment.BOOTWRIGHT_BUG_COMPAT === '262',
  }
  const done = (verb: SysupdateOptions['verb'], names: readonly string[] = []): SysupdateOptions => {
    return { ...read, root: read.root ?? '/', verb, names }
  }
  const select = (component: string | undefined, components: Selection): void => {
    read.component = component
    read.components = components
  }
  for (const { name, value = '' } of options) {
    if (name === 'help' || name === 'version') return done(name)
    if (name === 'json' && value === 'help') return done('json-formats')
    if (name === 'component') select(value === '' ? undefined : componentOf(value), 'named')
    else if (name === 'component-all') select(undefined, 'all')
    else if (name === 'component-suggested') select(undefined, 'suggested')
    else if (name === 'feature-all') read.features = 'all'
    else if (name === 'feature-suggested') read.features = 'suggested'
    else if (name === 'definitions') read.definitions = pathOf(value)
    else if (name === 'root') read.root = rootOf(value)
    else if (name === 'transfer-source') read.transferSource = pathOf(value)
    else if (name === 'instances-max') read.instancesMax = countOf(value)
    else if (name === 'verify') read.verify = booleanOf(name, value)
    else if (name === 'sync') read.isSynced = booleanOf(name, value)
    else if (name === 'cleanup') read.cleansUp = booleanOf(name, value)
    else if (name === 'image') read.image = pathOf(value)
    else if (name === 'json') read.json = jsonOf(value)
    else if (name === 'reboot') read.reboots = true
    else if (name === 'offline') read.isOffline = true
    else if (name === 'no-legend') read.hasLegend = false
    else if (name === 'bug-compat') read.compat = value === '262'
  }
  checkTogether(read)
  const [word = 'list', ...names] = words
  if (word === 'help') return done('help')
  const verb = verbOf(word)
  return done(verb, names)
}

function checkTogether(
  read: Pick<SysupdateOptions, 'component' | 'components' | 'definitions' | 'reboots' | 'image' | 'compat'> & {
    readonly root: string | undefined
  },
): void {
  const isOfComponents = read.component !== undefined || read.components !== 'named'
  const isOfAnother = read.root !== undefined || read.image !== undefined
  if (read.root !== undefined && read.image !== undefined) {
    throw new ToolFailure('Please specify either --root= or --image=, the combination of both is not supported.')
  }
  if (isOfAnother && read.reboots) {
    throw new ToolFailure('The --reboot switch may not be combined with --root= or --image=.')
  }
  const takesDefinitions = read.root === undefined && !read.compat
  if (isOfAnother && read.definitions !== undefined && !takesDefinitions) {
    throw new ToolFailure('The --definitions= switch may not be combined with --root= or --image=.')
  }
  if (isOfComponents && read.reboots) {
    throw new ToolFailure(
      'The --reboot switch may not be combined with --component=/--component-all/--component-suggested, as automatic reboots only apply to the booted OS version.',
    )
  }
  if (isOfComponents && read.definitions !== undefined) {
    throw new ToolFailure(
      'The --definitions= and --component=/--component-all/--component-suggested switches may not be combined.',
    )
  }
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

function countOf(text: string): number {
  if (!/^\d+$/.test(text)) throw new ToolFailure(`Failed to parse --instances-max= parameter: ${text}`)
  return Number(text)
}

function jsonOf(text: string): JsonFormat {
  if (!JSON_FORMATS.includes(text)) throw new ToolFailure(`Unknown argument to --json= switch: ${text}`)
  return text as JsonFormat
}
