import { isFeatureName } from '../../sysupdate/index.ts'
import { closest } from '../closest.ts'
import { ToolFailure } from '../tool-failure.ts'
import type { SysupdateOptions } from './options.ts'

/** In the order in which the original looks for the nearest one. */
const VERBS = [
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
] as const
export type Verb = (typeof VERBS)[number]

/** How many names may stand behind those that take any. */
const MOST_NAMES: Partial<Record<Verb, number>> = {
  list: 1,
  features: 1,
  update: 1,
  acquire: 1,
  'enable-feature': Number.POSITIVE_INFINITY,
  'disable-feature': Number.POSITIVE_INFINITY,
  'enable-component': Number.POSITIVE_INFINITY,
  'disable-component': Number.POSITIVE_INFINITY,
}

export function verbOf(word: string): Verb {
  const verb = VERBS.find((name) => name === word)
  if (verb !== undefined) return verb
  const near = closest(word, [...VERBS, 'help'])
  throw new ToolFailure(`Unknown command verb '${word}'${near === undefined ? '.' : `, did you mean '${near}'?`}`)
}

/** Whether a verb can do what it is asked, in the order and the words of the original. */
export function checkVerb(verb: Verb, options: SysupdateOptions): void {
  if (options.names.length > (MOST_NAMES[verb] ?? 0)) throw new ToolFailure('Too many arguments.')
  if (verb === 'enable-feature' || verb === 'disable-feature') checkFeatures(verb, options)
  else if (verb === 'enable-component' || verb === 'disable-component') checkComponents(verb, options)
  else checkOther(verb, options)
}

function checkOther(verb: Verb, options: SysupdateOptions): void {
  const { component, components, features, root, image, definitions, instancesMax, cleansUp } = options
  if (verb === 'cleanup' && cleansUp === false) {
    throw new ToolFailure("Invocation of 'cleanup' with --cleanup=no is contradictory, refusing.")
  }
  const isBooted = verb === 'pending' || verb === 'reboot'
  if (isBooted && (root !== '/' || image !== undefined)) {
    throw new ToolFailure(`The --root=/--image= switches may not be combined with the '${verb}' operation.`)
  }
  refuseFeatureSelection(verb, features)
  if (isBooted && (component !== undefined || components !== 'named')) {
    throw new ToolFailure(
      `The --component=, --component-all and --component-suggested switches may not be combined with the '${verb}' operation, which only applies to the booted OS version.`,
    )
  }
  if (verb === 'update' || verb === 'acquire' || verb === 'cleanup') {
    if (components === 'suggested') {
      throw new ToolFailure(`--component-suggested currently not supported for '${verb}'.`)
    }
  } else if (components !== 'named') {
    throw new ToolFailure(`--component-all/--component-suggested currently not supported for '${verb}'.`)
  }
  if ((verb === 'update' || verb === 'acquire') && instancesMax !== undefined && instancesMax < 2) {
    throw new ToolFailure('The --instances-max= argument must be >= 2 while updating')
  }
  if (verb === 'vacuum' && instancesMax !== undefined && instancesMax < 1) {
    throw new ToolFailure('The --instances-max= argument must be >= 1 while vacuuming')
  }
  if (verb === 'components') refuseDefinitions(verb, definitions)
}

function checkFeatures(verb: Verb, { components, features, definitions, names }: SysupdateOptions): void {
  if (components === 'suggested') throw new ToolFailure(`--component-suggested is not supported for '${verb}'.`)
  refuseDefinitions(verb, definitions)
  if (names.length > 0 !== (features === 'named')) {
    throw new ToolFailure(
      'Either specify features as positional parameter or via --feature-all/--feature-suggested, not both.',
    )
  }
  const wrong = names.find((name) => !isFeatureName(name))
  if (wrong !== undefined) throw new ToolFailure(`Feature name invalid: ${wrong}`)
}

function checkComponents(verb: Verb, { component, components, features, definitions, names }: SysupdateOptions): void {
  refuseFeatureSelection(verb, features)
  refuseDefinitions(verb, definitions)
  if (names.length > 0 && (component !== undefined || components !== 'named')) {
    throw new ToolFailure(
      'Either specify component names as positional parameter or via --component=/--component-all/--component-suggested, not both.',
    )
  }
  if (names.length === 0 && component === undefined && components === 'named') {
    throw new ToolFailure('No component specified.')
  }
}

function refuseFeatureSelection(verb: Verb, features: SysupdateOptions['features']): void {
  if (features !== 'named') throw new ToolFailure(`--feature-all/--feature-suggested is not supported for '${verb}'.`)
}

function refuseDefinitions(verb: Verb, definitions: string | undefined): void {
  if (definitions !== undefined) {
    throw new ToolFailure(`The --definitions= switch may not be combined with '${verb}'.`)
  }
}
