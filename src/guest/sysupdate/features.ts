import { type OptionDefinition, suggestion, type Transfer } from '../../sysupdate/index.ts'
import type { Glyphs } from '../glyphs.ts'
import { type Cell, formatTable } from './table.ts'

const yes = (is: boolean): string => (is ? 'yes' : 'no')

/** `features`: what can be switched on. */
export function featuresTable(features: readonly OptionDefinition[], hasLegend: boolean, glyphs: Glyphs): string {
  const rows = features.map((feature) => optionRow(feature, glyphs))
  const legend = hasLegend && features.length > 0 ? `\n${features.length} features listed.\n` : ''
  return `${optionTable('FEATURE', rows, hasLegend)}${legend}`
}

/** A row for something that can be switched on. */
export function optionRow(option: OptionDefinition, glyphs: Glyphs): readonly Cell[] {
  const mark = (is: boolean): string => (is ? glyphs.check : glyphs.cross)
  const suggested = suggestion(option)
  return [
    mark(option.isEnabled),
    typeof suggested === 'string' ? '-' : mark(suggested),
    option.id,
    option.description ?? '-',
    option.documentation.length === 0 ? '-' : option.documentation,
  ]
}

export function optionTable(what: string, rows: readonly (readonly Cell[])[], hasHeader: boolean): string {
  const titles = ['ENABLED', 'SUGGESTED', what, 'DESCRIPTION', 'DOCUMENTATION']
  return formatTable(
    titles.map((title) => ({ title })),
    rows,
    { hasHeader },
  )
}

/** `features FEATURE`. */
export function featureText(feature: OptionDefinition, transfers: readonly Transfer[], hasHeader: boolean): string {
  const suggested = suggestion(feature)
  const users = usersOf(feature, transfers)
  const rows: (readonly [string, Cell | undefined])[] = [
    ['Name', feature.id],
    ['Enabled', yes(feature.isEnabled)],
    ['Suggested', typeof suggested === 'string' ? `error (${suggested})` : yes(suggested)],
    ['Description', feature.description],
    ['Documentation', feature.documentation.length === 0 ? undefined : feature.documentation],
    ['AppStream', feature.appStream],
    ['Transfers', users.length === 0 ? undefined : users],
  ]
  const given = rows.flatMap(([key, value]): (readonly Cell[])[] => (value === undefined ? [] : [[`${key}:`, value]]))
  return formatTable([{ title: 'KEY', align: 'right' }, { title: 'VALUE' }], given, { hasHeader })
}

export function featureJson(feature: OptionDefinition, transfers: readonly Transfer[]) {
  const suggested = suggestion(feature)
  const users = usersOf(feature, transfers)
  return {
    id: feature.id,
    description: feature.description,
    documentation: feature.documentation.length === 0 ? undefined : feature.documentation,
    appStream: feature.appStream,
    enabled: feature.isEnabled,
    suggested: typeof suggested === 'string' ? undefined : suggested,
    transfers: users.length === 0 ? undefined : users,
  }
}

function usersOf({ id }: OptionDefinition, transfers: readonly Transfer[]): string[] {
  return transfers
    .filter(({ features, requisiteFeatures }) => features.includes(id) || requisiteFeatures.includes(id))
    .map((transfer) => transfer.id)
}
