import { BootwrightError } from '../../system/index.ts'
import {
  type Components,
  type DefinitionProblem,
  findComponents,
  type OpenedUpdates,
  openUpdates,
  planUpdate,
  readComponent,
} from '../../sysupdate/index.ts'
import { ToolFailure } from '../tool-failure.ts'
import type { ToolOutput } from '../tool-output.ts'
import { featureJson, featuresTable, featureText, optionRow, optionTable } from './features.ts'
import { listJson, listTable, versionJson, versionText } from './list.ts'
import { noTransfers, open, print, runningVersion, type SysupdateContext, warn } from './open.ts'
import type { SysupdateOptions } from './options.ts'
import { comparePending } from './reboot.ts'

export async function showVersions(
  options: SysupdateOptions,
  output: ToolOutput,
  opened: OpenedUpdates,
): Promise<number> {
  const {
    verb,
    names: [name],
    hasLegend,
    compat,
    component,
    verify,
  } = options
  if (!opened.transfers.some(({ isEnabled }) => isEnabled)) throw noTransfers(component)
  if (verb === 'pending') return (await comparePending(options, output, opened)) ? 0 : 1
  const { isOffline } = options
  const say = (text: string): void => output.log('warning', text)
  if (!isOffline) output.log('info', `Discovering available instances${output.glyphs.ellipsis}`)
  const transfers = await opened.discover({ isOffline, asksFiles: name !== undefined, verify, compat, warn: say })
  const plan = planUpdate(transfers, compat ? 'original' : 'correct', runningVersion(options), opened.failedBefore)
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

export function showFeatures(options: SysupdateOptions, output: ToolOutput, opened: OpenedUpdates): number {
  if (opened.transfers.length === 0) throw noTransfers(options.component)
  const {
    names: [name],
    hasLegend,
  } = options
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

export function showComponents(options: SysupdateOptions, output: ToolOutput, context: SysupdateContext): number {
  const { root, component, hasLegend } = options
  if (options.image !== undefined) open(options, output, context)
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
