import type { HashAlgorithm } from '../hash-algorithms.ts'
import { type PredictedEvent, predictedDigest } from '../prediction/event.ts'
import type { PcrlockComponent, PcrlockRecord } from './pcrlock-file.ts'

/** What components of pcrlock say of one PCR of the predicted boot. */
export interface JudgedPcr {
  readonly pcr: number
  /** Whether a component has records of it. */
  readonly isNamed: boolean
  readonly isCovered: boolean
  /** The variant of each component that the boot has, as far as they fit. */
  readonly fits: readonly string[]
  /** One sentence, where it is not covered. */
  readonly why?: string
}

/**
 * Holds components against what a machine is predicted to measure, PCR by PCR: those of one name after the other, one variant
 * of each, have to make up all that is measured. Only then does systemd-pcrlock make a policy of a PCR.
 *
 * PCRs that neither has anything for are not told.
 */
export function judgeComponents(
  components: readonly PcrlockComponent[],
  events: readonly PredictedEvent[],
  bank: HashAlgorithm,
): JudgedPcr[] {
  const named = new Set(
    components.flatMap(({ variants }) => variants.flatMap(({ records }) => records.map(({ pcr }) => pcr))),
  )
  const pcrs = [...new Set([...named, ...events.map(({ pcr }) => pcr)])].sort((a, b) => a - b)
  return pcrs.map((pcr) => {
    const isNamed = named.has(pcr)
    const ofPcr = events.filter((event) => event.pcr === pcr)
    const unknown = ofPcr.find((event) => predictedDigest(event, bank) === undefined)
    if (unknown !== undefined) {
      const why = unknown.measured.kind === 'unknown' ? unknown.measured.why : `there is no ${bank} digest of it`
      return { pcr, isNamed, isCovered: false, fits: [], why: `${unknown.what} cannot be known: ${why}` }
    }
    const judged = histories(ofPcr).map((history) => judgeHistory(components, history, bank, pcr))
    return { pcr, isNamed, ...(judged.find(({ isCovered }) => isCovered) ?? longest(judged)) }
  })
}

/** Each group of events may happen or not. */
function histories(events: readonly PredictedEvent[]): (readonly PredictedEvent[])[] {
  const groups = [...new Set(events.flatMap(({ group }) => (group === undefined ? [] : [group])))]
  return Array.from({ length: 2 ** Math.min(groups.length, MAX_GROUPS) }, (_, choice) =>
    events.filter(({ group }) => group === undefined || (choice & (1 << groups.indexOf(group))) !== 0),
  )
}

/** A real boot has one. */
const MAX_GROUPS = 4

/** How far the history is made up, and by which variants. */
interface Reached {
  readonly events: number
  readonly fits: readonly string[]
}

function judgeHistory(
  components: readonly PcrlockComponent[],
  history: readonly PredictedEvent[],
  bank: HashAlgorithm,
  pcr: number,
): Judged {
  const digests = history.map((event) => Buffer.from(predictedDigest(event, bank) ?? []))
  let reached = new Map<number, Reached>([[0, { events: 0, fits: [] }]])
  for (const { name, variants } of components) {
    const next = new Map<number, Reached>()
    for (const { path, records } of variants) {
      const wanted = records.filter((record) => record.pcr === pcr)
      for (const { events, fits } of reached.values()) {
        if (!isNext(wanted, digests, events, bank)) continue
        const end = events + wanted.length
        if (!next.has(end)) next.set(end, { events: end, fits: wanted.length === 0 ? fits : [...fits, path] })
      }
    }
    if (next.size === 0) {
      const { events, fits } = furthest(reached)
      const found = history[events]?.what ?? 'nothing more'
      return { isCovered: false, fits, why: `no variant of ${name} fits: the boot has ${found} there` }
    }
    reached = next
  }
  const { events, fits } = furthest(reached)
  const left = history[events]
  if (left === undefined) return { isCovered: true, fits }
  return { isCovered: false, fits, why: `no component has ${left.what}` }
}

function isNext(
  wanted: readonly PcrlockRecord[],
  digests: readonly Buffer[],
  from: number,
  bank: HashAlgorithm,
): boolean {
  return wanted.every((record, index) => {
    const digest = record.digests.get(bank)
    return digest !== undefined && digests[from + index]?.equals(digest) === true
  })
}

function furthest(reached: ReadonlyMap<number, Reached>): Reached {
  return [...reached.values()].reduce((best, one) => (one.events > best.events ? one : best))
}

type Judged = Omit<JudgedPcr, 'pcr' | 'isNamed'>

function longest(judged: readonly Judged[]): Judged {
  return judged.reduce((best, one) => (one.fits.length > best.fits.length ? one : best))
}
