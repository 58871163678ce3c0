import { type DefinitionFile, type Place, readDefinition } from './definition-file.ts'
import type { DefinitionProblem, OptionDefinition, SuggestCondition } from './types.ts'
import { isWebUrl, parseBoolean } from './values.ts'

export type OptionKind = 'feature' | 'component'

/** What may stand behind `SuggestOn`. */
const SUBJECTS = [
  'Architecture',
  'Firmware',
  'Virtualization',
  'Host',
  'Fraction',
  'KernelCommandLine',
  'Version',
  'Credential',
  'Security',
  'OSRelease',
  'MachineTag',
] as const

/**
 * Reads a feature or component definition (sysupdate.features(5)): its file, then its drop-ins. Both are the same but for
 * the section, for `AppStream=`, which only features have, and for what holds without `Enabled=`: no, and yes.
 */
export function parseOption(
  kind: OptionKind,
  id: string,
  files: readonly DefinitionFile[],
  problems: DefinitionProblem[],
): OptionDefinition {
  const section = kind === 'feature' ? 'Feature' : 'Component'
  let description: string | undefined
  let appStream: string | undefined
  let isEnabled = kind === 'component'
  let suggest: boolean | undefined
  const documentation: string[] = []
  const suggestOn: SuggestCondition[] = []
  const isUrl = (key: string, value: string, place: Place): boolean => {
    if (isWebUrl(value)) return true
    place.warn(`${key}= URL is not valid, ignoring: ${value}`)
    return false
  }
  const bool = (key: string, value: string, place: Place): boolean | undefined => {
    const parsed = parseBoolean(value)
    if (parsed === undefined) place.warn(`Failed to parse ${key}=${value}, ignoring: Invalid argument`)
    return parsed
  }
  const handlers: Record<string, (value: string, place: Place) => void> = {
    Description: (value) => {
      description = value === '' ? undefined : value
    },
    Documentation: (value, place) => {
      if (value === '') documentation.length = 0
      else if (isUrl('Documentation', value, place)) documentation.push(value)
    },
    Enabled: (value, place) => {
      isEnabled = bool('Enabled', value, place) ?? isEnabled
    },
    Suggest: (value, place) => {
      suggest = value === '' ? undefined : (bool('Suggest', value, place) ?? suggest)
    },
    ...Object.fromEntries(
      SUBJECTS.map((subject) => [
        `SuggestOn${subject}`,
        (value: string) => {
          if (value === '') suggestOn.length = 0
          else suggestOn.push(readCondition(subject, value))
        },
      ]),
    ),
  }
  if (kind === 'feature') {
    handlers.AppStream = (value, place) => {
      if (value === '') appStream = undefined
      else if (isUrl('AppStream', value, place)) appStream = value
    }
  }
  const named = Object.fromEntries(Object.entries(handlers).map(([key, handler]) => [`${section}.${key}`, handler]))
  readDefinition(files, [section], named, problems)
  return { id, description, documentation, appStream, isEnabled, suggest, suggestOn }
}

/** `|` makes a condition one of which must hold, `!` turns it round (systemd.unit(5)). */
function readCondition(subject: string, value: string): SuggestCondition {
  const [, trigger, negation, parameter = ''] = /^(\|)?(!)?(.*)$/s.exec(value) ?? []
  return {
    subject,
    isTrigger: trigger !== undefined,
    isNegated: negation !== undefined,
    parameter: parameter.trimStart(),
  }
}

/** Whether a transfer is on: any of its features, and all that it requires. */
export function isTransferEnabled(
  transfer: { readonly features: readonly string[]; readonly requisiteFeatures: readonly string[] },
  features: ReadonlyMap<string, OptionDefinition>,
): boolean {
  const isOn = (name: string): boolean => features.get(name)?.isEnabled === true
  if (!transfer.requisiteFeatures.every(isOn)) return false
  return transfer.features.length === 0 || transfer.features.some(isOn)
}
