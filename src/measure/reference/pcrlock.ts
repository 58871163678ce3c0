import { BootwrightError } from '../../system/index.ts'
import type { PredictedEvent } from '../prediction/event.ts'
import { digestRecords } from './digest-records.ts'
import type { ReferenceValues } from './reference-values.ts'

/** A file of systemd.pcrlock(5): a component, or one variant of one. */
export interface PcrlockFile {
  /** `250-firmware-pcr-0.pcrlock`, or `550-kernel-pcr-5.pcrlock.d/010-with-retry.pcrlock`. */
  readonly path: string
  readonly content: string
}

/** Where systemd's own components of the same time stand: policies are made for what lies between two of them. */
const STAGES = { firmware: 250, 'boot-loader': 450, stub: 650, kernel: 710, system: 750 } as const
const PHASES: Readonly<Record<string, number>> = {
  'phase leave-initrd': 800,
  'phase sysinit': 850,
  'phase ready': 900,
}
const IDENTITY_PCR = 15
const IDENTITY_STAGE = 820
/** Each group doubles the variants of its component; a real boot has one. */
const MAX_GROUPS = 4

/**
 * The events as components for `systemd-pcrlock --components=`: for each PCR one component a stage, numbered in the order
 * of the boot. A component with events that happen in some boots only has variants, the longest first: systemd takes the
 * first one that fits.
 */
export function pcrlockFiles(reference: ReferenceValues): PcrlockFile[] {
  return reference.pcrs.flatMap((pcr) => {
    const events = reference.events.filter((event) => event.pcr === pcr)
    return componentsOf(events).flatMap((component) => filesOf(component, pcr, reference))
  })
}

/**
 * Components of several predictions, such as of a machine before and after an update: what differs between them has variants,
 * so that a policy holds for each. `INVALID_ARGUMENT` where one has a component that another does not: a boot without it would
 * fit none.
 */
export function pcrlockFilesOfAll(references: readonly ReferenceValues[]): PcrlockFile[] {
  const sets = references.map((reference) => Map.groupBy(pcrlockFiles(reference), ({ path }) => componentOf(path)))
  const names = [...new Set(sets.flatMap((set) => [...set.keys()]))].sort()
  return names.flatMap((name) => {
    if (sets.some((set) => !set.has(name))) {
      throw new BootwrightError('INVALID_ARGUMENT', `Expected ${name} in each of the predictions, found it in some`, {
        hint: 'Predict the same machine each time: the same firmware, cloud and command line.',
      })
    }
    const contents = new Set(sets.flatMap((set) => set.get(name) ?? []).map(({ content }) => content))
    const [only] = contents
    if (only !== undefined && contents.size === 1) return [{ path: name, content: only }]
    return [...contents]
      .sort((a, b) => b.length - a.length)
      .map((content, index) => ({ path: `${name}.d/${String((index + 1) * 10).padStart(3, '0')}.pcrlock`, content }))
  })
}

/** Of a variant, what it is one of. */
function componentOf(path: string): string {
  return path.replace(/\.d\/.*$/, '')
}

interface Component {
  readonly number: number
  readonly name: string
  readonly events: PredictedEvent[]
}

/** Runs of events of the same stage; numbers only grow. */
function componentsOf(events: readonly PredictedEvent[]): Component[] {
  const components: Component[] = []
  for (const event of events) {
    const [stage, name] = stageOf(event)
    const last = components.at(-1)
    if (last?.name === name) last.events.push(event)
    else components.push({ number: Math.max(stage, (last?.number ?? 0) + 1), name, events: [event] })
  }
  return components
}

function stageOf({ by, what, pcr }: PredictedEvent): [number: number, name: string] {
  const phase = PHASES[what]
  if (by === 'system' && phase !== undefined) return [phase, what.replace('phase ', '')]
  if (by === 'system' && pcr === IDENTITY_PCR) return [IDENTITY_STAGE, 'identity']
  return [STAGES[by], by === 'system' ? 'initrd' : by]
}

function filesOf({ number, name, events }: Component, pcr: number, reference: ReferenceValues): PcrlockFile[] {
  const path = `${number}-${name}-pcr-${pcr}.pcrlock`
  const groups = [...new Set(events.flatMap(({ group }) => (group === undefined ? [] : [group])))].slice(0, MAX_GROUPS)
  if (groups.length === 0) return [{ path, content: contentOf(events, reference) }]
  const variants = Array.from({ length: 2 ** groups.length }, (_, choice) => {
    const chosen = groups.filter((_group, index) => (choice & (1 << index)) !== 0)
    return { chosen, events: events.filter(({ group }) => group === undefined || chosen.includes(group)) }
  })
  return variants
    .sort((a, b) => b.events.length - a.events.length)
    .map((variant, index) => {
      const title = variant.chosen.length === 0 ? 'without' : `with-${variant.chosen.map(slug).join('-')}`
      const place = String((index + 1) * 10).padStart(3, '0')
      return { path: `${path}.d/${place}-${title}.pcrlock`, content: contentOf(variant.events, reference) }
    })
}

function contentOf(events: readonly PredictedEvent[], { banks }: ReferenceValues): string {
  const records = events.map((event) => ({ pcr: event.pcr, digests: digestRecords(event, banks) }))
  return `${JSON.stringify({ records })}\n`
}

function slug(text: string): string {
  return text.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')
}
