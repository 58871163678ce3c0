import { compareVersions } from '../../formats/index.ts'
import { BootwrightError } from '../../system/index.ts'
import {
  type Components,
  type DefinitionProblem,
  findComponents,
  type OpenedUpdates,
  openUpdates,
  planUpdate,
  readComponent,
  readOsRelease,
} from '../../sysupdate/index.ts'
import { formatJson } from '../json-format.ts'
import { errnoText, ToolFailure } from '../tool-failure.ts'
import type { ToolOutput } from '../tool-output.ts'
import { featureJson, featuresTable, featureText, optionRow, optionTable } from './features.ts'
import { HELP } from './help.ts'
import { listJson, listTable, versionJson, versionText } from './list.ts'
import { parseSysupdateOptions, type SysupdateOptions } from './options.ts'

export interface SysupdateContext {
  readonly version: string
  readonly environment?: Readonly<Record<string, string | undefined>>
}

/** What of systemd-sysupdate(8) of systemd 262 only reads. Returns the exit status. */
export async function sysupdate(
  argv: readonly string[],
  output: ToolOutput,
  context: SysupdateContext,
): Promise<number> {
  try {
    return await run(parseSysupdateOptions(argv), output, context)
  } catch (error) {
    if (error instanceof ToolFailure || error instanceof BootwrightError) output.log('error', error.message)
    else if (isSystemCall(error)) output.log('error', errnoLine(error))
    else throw error
    return 1
  }
}

function isSystemCall(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'syscall' in error
}

function errnoLine(error: NodeJS.ErrnoException): string {
  return `Failed to ${error.syscall} '${error.path ?? ''}': ${errnoText(error)}`
}

async function run(options: SysupdateOptions, output: ToolOutput, context: SysupdateContext): Promise<number> {
  switch (options.verb) {
    case 'help':
      output.out(HELP)
      return 0
    case 'version':
      output.out(context.version)
      return 0
    case 'json-formats':
      output.out('pretty\nshort\noff\n')
      return 0
    case 'components':
      return showComponents(options, output, context)
    case 'features':
      return showFeatures(options, output, open(options, output, context))
    default:
      return showVersions(options, output, open(options, output, context))
  }
}

function open(
  { component, definitions, root, transferSource }: SysupdateOptions,
  output: ToolOutput,
  { environment = process.env }: SysupdateContext,
): OpenedUpdates {
  const opened = openUpdates({ component, directory: definitions, root, transferSource, environment })
  warn(opened.problems, output)
  if (opened.isOldSuffix) {
    output.log('warning', 'As a legacy feature, transfer definitions were read from *.conf: rename them to *.transfer.')
  }
  if (opened.transfers.length === 0) throw noTransfers(component)
  return opened
}

function warn(problems: readonly DefinitionProblem[], output: ToolOutput): void {
  for (const { path, line, text } of problems) output.log('warning', `${path}:${line}: ${text}`)
}

function noTransfers(component: string | undefined): ToolFailure {
  const whose = component === undefined ? '' : ` for component '${component}'`
  return new ToolFailure(`No transfer definitions${whose} found.`)
}

async function showVersions(options: SysupdateOptions, output: ToolOutput, opened: OpenedUpdates): Promise<number> {
  const { verb, name, hasLegend, compat, component, verify } = options
  if (!opened.transfers.some(({ isEnabled }) => isEnabled)) throw noTransfers(component)
  if (verb === 'pending') return showPending(options, output, opened)
  const { isOffline } = options
  const say = (text: string): void => output.log('warning', text)
  if (!isOffline) output.log('info', `Discovering available instances${output.glyphs.ellipsis}`)
  const transfers = await opened.discover({ isOffline, verify, compat, warn: say })
  const plan = planUpdate(transfers, compat ? 'original' : 'correct')
  if (verb === 'check-new') {
    const version = plan.candidate?.version
    if (options.json !== 'off') print(options, output, { available: version ?? null })
    else if (version !== undefined) output.out(`${version}\n`)
    return version === undefined ? 1 : 0
  }
  const text = { hasHeader: hasLegend, glyphs: output.glyphs }
  if (name === undefined) {
    if (options.json !== 'off') print(options, output, listJson(plan, transfers))
    else output.out(listTable(plan, text))
    return 0
  }
  const set = plan.sets.find(({ version }) => version === name)
  if (set === undefined) throw new ToolFailure(`Update '${name}' not found.`)
  if (options.json !== 'off') print(options, output, versionJson(set, transfers))
  else output.out(versionText(set, transfers, text))
  return 0
}

async function showPending(options: SysupdateOptions, output: ToolOutput, opened: OpenedUpdates): Promise<number> {
  const booted = readOsRelease('/').get('IMAGE_VERSION')
  if (booted === undefined || booted === '') throw new ToolFailure('/etc/os-release lacks IMAGE_VERSION= field.')
  const { verify, compat } = options
  const transfers = await opened.discover({ isOffline: true, verify, compat, warn: () => undefined })
  const { newestInstalled } = planUpdate(transfers, compat ? 'original' : 'correct')
  if (newestInstalled === undefined) throw new ToolFailure("Couldn't find any suitable installed versions.")
  const order = compareVersions(newestInstalled.version, booted)
  const word = order > 0 ? 'is newer than' : order === 0 ? 'matches' : 'is older than'
  const advice = order > 0 ? ' Reboot recommended.' : ''
  output.log(
    'info',
    `Newest installed version '${newestInstalled.version}' ${word} booted version '${booted}'.${advice}`,
  )
  return order > 0 ? 0 : 1
}

function showFeatures(options: SysupdateOptions, output: ToolOutput, opened: OpenedUpdates): number {
  const { name, hasLegend } = options
  const features = [...opened.features.values()]
  if (name === undefined) {
    if (options.json !== 'off') print(options, output, { features: features.map(({ id }) => id) })
    else {
      output.out(featuresTable(features, hasLegend, output.glyphs))
      if (hasLegend && features.length === 0) output.log('info', 'No features.')
    }
    return 0
  }
  const feature = opened.features.get(name)
  if (feature === undefined) throw new ToolFailure(`Optional feature not found: ${name}`)
  if (options.json !== 'off') print(options, output, featureJson(feature, opened.transfers))
  else output.out(featureText(feature, opened.transfers, hasLegend))
  return 0
}

function showComponents(options: SysupdateOptions, output: ToolOutput, context: SysupdateContext): number {
  const { root, component, hasLegend } = options
  const found: Components = findComponents(root)
  // The original leaves the default component out where another one is named, but no other.
  const hasDefault = found.hasDefault && component === undefined
  if (options.json !== 'off') {
    print(options, output, { default: hasDefault, components: found.names })
    return 0
  }
  if (!hasDefault && found.names.length === 0) {
    output.log('info', 'No components defined.')
    return 0
  }
  const problems: DefinitionProblem[] = []
  const usable = found.names.filter((name) => isUsable({ ...options, component: name }, output, context))
  const rows = usable.map((name) => optionRow(readComponent(root, name, problems), output.glyphs))
  warn(problems, output)
  const own = hasDefault ? [['-', '-', '<default>', 'Default Component', '-']] : []
  output.out(optionTable('COMPONENT', [...own, ...rows], hasLegend))
  return 0
}

/** Whether the definitions of a component can be read; what is wrong with them is said. */
function isUsable(
  options: SysupdateOptions,
  output: ToolOutput,
  { environment = process.env }: SysupdateContext,
): boolean {
  try {
    openUpdates({ ...options, directory: undefined, environment })
    return true
  } catch (error) {
    if (!(error instanceof BootwrightError)) throw error
    output.log('warning', error.message)
    return false
  }
}

function print({ json }: SysupdateOptions, output: ToolOutput, value: unknown): void {
  output.out(`${formatJson(value, json, output)}\n`)
}
