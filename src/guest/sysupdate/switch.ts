import {
  findComponents,
  isComponentName,
  type OpenedUpdates,
  type OptionDefinition,
  readComponent,
  suggestion,
  switchOption,
} from '../../sysupdate/index.ts'
import { ToolFailure } from '../tool-failure.ts'
import type { ToolOutput } from '../tool-output.ts'
import { tellFailure } from './failure.ts'
import { open, type SysupdateContext, warn } from './open.ts'
import type { SysupdateOptions } from './options.ts'

/** `enable-feature` and `disable-feature`. What fails for one name is told, and the others are switched all the same. */
export function switchFeatures(options: SysupdateOptions, output: ToolOutput, context: SysupdateContext): number {
  const opened = open(options, output, context)
  if (options.components === 'named') return switchFeaturesOf(options, opened, output)
  let status = opened.transfers.length === 0 ? 0 : switchFeaturesOf(options, opened, output)
  for (const component of findComponents(options.root).names) {
    try {
      const scoped = { ...options, component }
      status = switchFeaturesOf(scoped, open(scoped, output, context), output) || status
    } catch (error) {
      tellFailure(error, output)
      status = 1
    }
  }
  return status
}

function switchFeaturesOf(options: SysupdateOptions, opened: OpenedUpdates, output: ToolOutput): number {
  const { component, features, names, root, verb } = options
  const shown = component ?? '<default>'
  const all = [...opened.features.values()]
  const chosen =
    features === 'named'
      ? names
      : (features === 'all' ? all : all.filter((one) => isSuggested(one, output))).map(({ id }) => id)
  const isOn = verb === 'enable-feature'
  let status = 0
  for (const name of chosen) {
    try {
      if (!opened.features.has(name)) {
        throw new ToolFailure(`Optional feature not found in component '${shown}': ${name}`)
      }
      switchOption(root, { kind: 'feature', name, owner: component }, isOn, verb)
      output.log('info', `Feature '${name}' ${isOn ? 'enabled' : 'disabled'}.`)
    } catch (error) {
      tellFailure(error, output)
      status = 1
    }
  }
  return status
}

/** `enable-component` and `disable-component`. */
export function switchComponents(options: SysupdateOptions, output: ToolOutput, context: SysupdateContext): number {
  const { component, components, names, root, verb } = options
  const asked = names.length > 0 ? names : component === undefined ? [] : [component]
  const wrong = asked.find((name) => !isComponentName(name))
  if (wrong !== undefined) throw new ToolFailure(`Component name invalid: ${wrong}`)
  // The original looks at the definitions before it does anything.
  open(options, output, context)
  const known = findComponents(root).names
  const missing = asked.find((name) => !known.includes(name))
  if (missing !== undefined) throw new ToolFailure(`Component not found: ${missing}`)
  const chosen =
    components === 'named'
      ? asked
      : components === 'all'
        ? known
        : known.filter((name) => isComponentSuggested(name, root, output))
  if (chosen.length === 0) output.log('info', 'No components selected.')
  const isOn = verb === 'enable-component'
  for (const name of chosen) {
    switchOption(root, { kind: 'component', name }, isOn, verb)
    output.log('info', `Component '${name}' ${isOn ? 'enabled' : 'disabled'}.`)
  }
  return 0
}

function isComponentSuggested(name: string, root: string, output: ToolOutput): boolean {
  const problems: Parameters<typeof readComponent>[2] = []
  const definition = readComponent(root, name, problems)
  warn(problems, output)
  return isSuggested(definition, output)
}

/** Where it cannot be told, it is not. */
function isSuggested(option: OptionDefinition, output: ToolOutput): boolean {
  const suggested = suggestion(option)
  if (typeof suggested !== 'string') return suggested
  output.log('warning', `Failed to determine whether '${option.id}' is suggested, skipping: ${suggested}`)
  return false
}
