import { assessment, type Instance, type Transfer, type UpdatePlan, type UpdateSet } from '../../sysupdate/index.ts'
import type { Glyphs } from '../glyphs.ts'
import { bytesText, timeText } from './format-values.ts'
import { type Cell, type Column, formatTable } from './table.ts'

/** How lines for people are written. */
export interface TextOptions {
  readonly hasHeader: boolean
  readonly glyphs: Glyphs
}

/** `list`: every version with what is known of it. */
export function listTable({ sets }: UpdatePlan, { hasHeader, glyphs }: TextOptions): string {
  const columns: Column[] = [
    { title: '', align: 'right' },
    { title: 'VERSION' },
    { title: 'INSTALLED', align: 'center' },
    { title: 'AVAILABLE', align: 'center' },
    { title: 'ASSESSMENT' },
  ]
  const rows = sets.map((set) => [
    mark(set, glyphs),
    set.version,
    set.isInstalled ? glyphs.check : ' ',
    set.isAvailable ? glyphs.check : ' ',
    assessment(set),
  ])
  return formatTable(columns, rows, { hasHeader })
}

export function listJson({ sets, newestInstalled }: UpdatePlan, transfers: readonly Transfer[]) {
  return {
    [newestInstalled?.isPending === true ? 'current+pending' : 'current']: newestInstalled?.version ?? null,
    all: sets.map(({ version }) => version),
    appstreamUrls: [...new Set(transfers.flatMap(({ appStream }) => appStream))],
  }
}

/** `list VERSION`: what is known of it, then what it is made of. */
export function versionText(
  set: UpdateSet,
  transfers: readonly Transfer[],
  { hasHeader, glyphs }: TextOptions,
): string {
  const yes = (is: boolean): string => (is ? 'yes' : 'no')
  const marks = [
    set.isNewest ? ' (newest)' : '',
    set.isIncomplete ? ' (incomplete)' : '',
    set.isPending ? ' (pending)' : '',
    set.isPartial ? ' (partial)' : '',
  ].join('')
  const lines = [
    `${mark(set, glyphs)} Version: ${set.version}`,
    `    State: ${assessment(set)}`,
    `Installed: ${set.isInstalled ? `yes${marks}` : 'no'}`,
    `Available: ${set.isAvailable ? `yes${set.isNewest && !set.isInstalled ? ' (newest)' : ''}` : 'no'}`,
    `Protected: ${yes(set.isProtected)}`,
    ` Obsolete: ${yes(set.isObsolete)}`,
    ...changeLogs(set, transfers).map((url) => `ChangeLog: ${url}`),
  ]
  const instances = instancesOf(set)
  const parts = partsOf(instances)
  const rows = instances.map((instance) =>
    parts.map(({ value, text }): Cell => {
      const given = value(instance)
      return given === undefined ? '-' : text(given)
    }),
  )
  const columns = parts.map(({ key, isNumber }): Column => {
    return { title: key.toUpperCase(), ...(isNumber ? { align: 'right' } : {}) }
  })
  return `${lines.join('\n')}\n\n${formatTable(columns, rows, { hasHeader })}`
}

export function versionJson(set: UpdateSet, transfers: readonly Transfer[]) {
  const instances = instancesOf(set)
  const parts = partsOf(instances)
  return {
    version: set.version,
    newest: set.isNewest,
    available: set.isAvailable,
    installed: set.isInstalled,
    partial: set.isPartial,
    pending: set.isPending,
    obsolete: set.isObsolete,
    protected: set.isProtected,
    incomplete: set.isIncomplete,
    changelogUrls: changeLogs(set, transfers),
    contents: instances.map((instance) =>
      Object.fromEntries(parts.map(({ key, value }) => [key, value(instance) ?? null])),
    ),
  }
}

type Value = string | number | bigint | boolean

interface Part {
  readonly key: string
  readonly isNumber: boolean
  value(instance: Instance): Value | undefined
  text(value: Value): string
}

function part(key: string, value: Part['value'], text?: (value: Value) => string): Part {
  return { key, value, text: text ?? String, isNumber: text !== undefined && text !== yesNo }
}

const yesNo = (value: Value): string => (value === true ? 'yes' : 'no')
const decimal = (value: Value): string => String(value)

/** In the order of their columns; one that no instance has is left out. */
const PARTS: readonly Part[] = [
  part('type', ({ type }) => type),
  part('path', ({ path }) => path),
  part('ptuuid', ({ fields }) => fields.partitionUuid),
  part(
    'ptflags',
    ({ fields }) => fields.partitionFlags,
    (value) => value.toString(16),
  ),
  part(
    'mtime',
    ({ fields }) => fields.mtimeUs,
    (value) => timeText(BigInt(value)),
  ),
  part(
    'mode',
    ({ fields }) => fields.mode,
    (value) => value.toString(8).padStart(4, '0'),
  ),
  part(
    'size',
    ({ fields }) => fields.size,
    (value) => bytesText(BigInt(value)),
  ),
  part('tries-done', ({ fields }) => fields.triesDone, decimal),
  part('tries-left', ({ fields }) => fields.triesLeft, decimal),
  part('noauto', ({ fields }) => fields.noAuto, yesNo),
  part('ro', ({ fields }) => fields.readOnly, yesNo),
  part('growfs', ({ fields }) => fields.growFileSystem, yesNo),
  part('sha256', ({ fields }) => fields.sha256),
]

/** Shown both where one of them is known. */
const PAIRS: readonly (readonly string[])[] = [
  ['ptuuid', 'ptflags'],
  ['tries-done', 'tries-left'],
]

function partsOf(instances: readonly Instance[]): readonly Part[] {
  const known = PARTS.filter(({ value }) => instances.some((instance) => value(instance) !== undefined))
  const shown = known.flatMap(({ key }) => PAIRS.find((pair) => pair.includes(key)) ?? [key])
  return PARTS.filter(({ key }) => shown.includes(key))
}

function instancesOf(set: UpdateSet): readonly Instance[] {
  return set.instances.filter((instance) => instance !== undefined)
}

function changeLogs({ version }: UpdateSet, transfers: readonly Transfer[]): string[] {
  return [...new Set(transfers.flatMap(({ changeLog }) => changeLog.map((url) => url.replaceAll('@v', version))))]
}

function mark(set: UpdateSet, glyphs: Glyphs): string {
  if (set.isObsolete) return glyphs.multiplication
  if (set.isPartial || set.isPending) return glyphs.download
  if (set.isInstalled && set.isNewest) return glyphs.blackCircle
  if (set.isInstalled && set.isProtected) return glyphs.whiteCircle
  return set.isAvailable && set.isNewest && !set.isFailed ? glyphs.circleArrow : ' '
}
