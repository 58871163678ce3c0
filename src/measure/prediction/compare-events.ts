import { BootwrightError } from '../../system/index.ts'
import { type HashAlgorithm, hashAlgorithmFacts } from '../hash-algorithms.ts'
import type { ActualEvent } from './actual-events.ts'
import { ALONE_COST, align, type Budget, type Place } from './align.ts'
import { type PredictedEvent, predictedDigests } from './event.ts'
import { type Displacement, findingCause } from './event-cause.ts'
import { actualSubject, predictedSubject } from './event-subject.ts'

/**
 * - `equal`: measured as predicted, in every bank;
 * - `different`: it was measured, but its digest in some bank is another one;
 * - `missing`: predicted and not measured;
 * - `unexpected`: measured and not predicted;
 * - `unknown`: there is no prediction of its digest, or not in every bank.
 */
export type FindingStatus = 'equal' | 'different' | 'missing' | 'unexpected' | 'unknown'

/** What became of one predicted event, or of one record that was not predicted. */
export interface EventFinding {
  readonly pcr: number
  readonly status: FindingStatus
  readonly predicted?: PredictedEvent
  readonly actual?: ActualEvent
  /** For a person: what differs, and how far the bytes are known, from what to what. Empty where there is nothing to say. */
  readonly cause: string
}

/** How many findings of each kind a PCR has; `predicted` and `actual` count the events and the records, each once. */
export type FindingCounts = Readonly<Record<FindingStatus | 'predicted' | 'actual', number>>

/** Pairs of one predicted event and one record that are looked at, in all: real boots take less than a thousandth. */
const MAX_PAIRS = 16_000_000
/** Of a group, whether it happened is tried out one group after the other. */
const MAX_GROUPS = 8
const SAME_THING_COST = 7
const OTHER_THING_COST = 11

/**
 * Compares what was measured with what was predicted, PCR by PCR; the order of events counts in each PCR alone.
 *
 * Digests decide, in all banks that are named: give those of the log. The types and data of records, which no digest
 * covers, only help to find out what belongs together. Findings come in the order of PCRs, and in each in the order of
 * its events; a group of events that did not happen has none. `INVALID_ARGUMENT` without a bank.
 */
export function compareEvents(
  predicted: readonly PredictedEvent[],
  actual: readonly ActualEvent[],
  banks: readonly HashAlgorithm[],
): EventFinding[] {
  if (banks.length === 0) throw new BootwrightError('INVALID_ARGUMENT', 'There is no PCR bank to compare events in')
  const expected = byPcr(predicted.map((event) => expectedEvent(event, banks)))
  const found = byPcr(actual.map((event) => foundEvent(event, banks)))
  const budget = { pairs: MAX_PAIRS }
  const pairs = [...new Set([...expected.keys(), ...found.keys()])]
    .sort((a, b) => a - b)
    .flatMap((pcr) => pairsOfPcr(pcr, expected.get(pcr) ?? [], found.get(pcr) ?? [], budget))
  const displaced = displacements(pairs)
  return pairs.map((pair) => finding(pair, banks, displaced.get(pair)))
}

/** By PCR, in ascending order; `status` of findings that agree is counted as well. */
export function summarizeFindings(findings: readonly EventFinding[]): ReadonlyMap<number, FindingCounts> {
  const counts = new Map<number, Record<FindingStatus | 'predicted' | 'actual', number>>()
  for (const [index, { pcr, status, predicted, actual }] of findings.entries()) {
    const ofPcr = counts.get(pcr) ?? {
      predicted: 0,
      actual: 0,
      equal: 0,
      different: 0,
      missing: 0,
      unexpected: 0,
      unknown: 0,
    }
    counts.set(pcr, ofPcr)
    ofPcr[status]++
    if (actual !== undefined) ofPcr.actual++
    const isFurther = predicted?.standsFor !== undefined && predicted === findings[index - 1]?.predicted
    if (predicted !== undefined && !isFurther) ofPcr.predicted++
  }
  return new Map([...counts].sort(([a], [b]) => a - b))
}

interface Expected {
  readonly pcr: number
  readonly event: PredictedEvent
  /** Digests in the order of the banks. */
  readonly digests: readonly (string | undefined)[]
  /** All digests as one text; undefined where none is known. */
  readonly key: string | undefined
  /** In some bank there is no prediction. */
  readonly isOpen: boolean
  readonly isUnknown: boolean
  /** Read when it is first asked for: most events are never looked at twice. */
  subject?: string | undefined
}

interface Found {
  readonly pcr: number
  readonly event: ActualEvent
  readonly digests: readonly string[]
  readonly key: string
  subject?: string | undefined
}

interface Pair {
  readonly pcr: number
  readonly expected?: Expected
  readonly found?: Found
}

function expectedEvent(event: PredictedEvent, banks: readonly HashAlgorithm[]): Expected {
  const all = predictedDigests(event, banks)
  const digests = banks.map((bank) => all.get(bank)).map((digest) => digest && Buffer.from(digest).toString('hex'))
  const isUnknown = digests.every((digest) => digest === undefined)
  // What neither was predicted nor recorded for a bank is the same, as in two logs with the same gap.
  const key = isUnknown ? undefined : digests.map((digest) => digest ?? '').join(' ')
  return { pcr: event.pcr, event, digests, key, isOpen: digests.includes(undefined), isUnknown }
}

/** A record without a digest for a bank agrees with nothing: that bank's PCR cannot be what was predicted. */
function foundEvent(event: ActualEvent, banks: readonly HashAlgorithm[]): Found {
  const digests = banks.map((bank) => Buffer.from(event.digests.get(bank) ?? []).toString('hex'))
  return { pcr: event.pcr, event, digests, key: digests.join(' ') }
}

function byPcr<T extends { readonly pcr: number }>(events: readonly T[]): Map<number, T[]> {
  const groups = new Map<number, T[]>()
  for (const event of events) {
    const group = groups.get(event.pcr)
    if (group === undefined) groups.set(event.pcr, [event])
    else group.push(event)
  }
  return groups
}

function pairsOfPcr(pcr: number, all: readonly Expected[], found: readonly Found[], budget: Budget): Pair[] {
  const groups = [...new Set(all.flatMap(({ event: { group } }) => (group === undefined ? [] : [group])))]
  let expected = all
  let { places, cost } = alignEvents(expected, found, budget)
  for (const group of groups.slice(0, MAX_GROUPS)) {
    const without = expected.filter(({ event }) => event.group !== group)
    const other = alignEvents(without, found, budget)
    if (other.cost < cost) [expected, places, cost] = [without, other.places, other.cost]
  }
  return places.map((place): Pair => pairAt(place, pcr, expected, found))
}

function pairAt(place: Place, pcr: number, expected: readonly Expected[], found: readonly Found[]): Pair {
  const one = place.expected === undefined ? undefined : expected[place.expected]
  const other = place.found === undefined ? undefined : found[place.found]
  return { pcr, ...(one === undefined ? {} : { expected: one }), ...(other === undefined ? {} : { found: other }) }
}

function alignEvents(expected: readonly Expected[], found: readonly Found[], budget: Budget) {
  return align(
    {
      expectedCount: expected.length,
      foundCount: found.length,
      isSame: (one, other) => {
        const [a, b] = [expected[one], found[other]]
        if (a === undefined || b === undefined || a.event.group !== undefined) return false
        return a.key === b.key && a.event.type === b.event.type
      },
      cost: (one, other) => pairCost(expected[one], found[other]),
      aloneCost: (one) => (expected[one]?.event.standsFor === 'anything' ? 0 : ALONE_COST),
      repeats: (one) => expected[one]?.isUnknown === true && expected[one].event.standsFor !== undefined,
    },
    budget,
  )
}

function pairCost(expected: Expected | undefined, found: Found | undefined): number {
  if (expected === undefined || found === undefined) return Infinity
  const isSameType = expected.event.type === found.event.type
  if (expected.key === found.key) return isSameType ? 0 : 1
  if (expected.isUnknown && expected.event.standsFor === 'anything') return 1
  // A record of another type about other bytes is another record.
  if (!isSameType) return Infinity
  const isSameThing = mayBeSameThing(expected, found)
  if (expected.isOpen && isSameThing && agrees(expected, found)) return 1
  return isSameThing ? SAME_THING_COST : OTHER_THING_COST
}

function mayBeSameThing(expected: Expected, found: Found): boolean {
  if (!('subject' in expected)) expected.subject = predictedSubject(expected.event)
  if (expected.subject === undefined) return true
  if (!('subject' in found)) found.subject = actualSubject(found.event)
  return found.subject === undefined || found.subject === expected.subject
}

/** Whether all digests that are predicted are found. */
function agrees(expected: Expected, found: Found): boolean {
  return expected.digests.every((digest, index) => digest === undefined || digest === found.digests[index])
}

function statusOf({ expected, found }: Pair): FindingStatus {
  if (expected === undefined) return 'unexpected'
  if (found === undefined) return expected.event.standsFor === 'anything' ? 'unknown' : 'missing'
  if (expected.key === found.key) return 'equal'
  const isOpen = expected.isOpen && agrees(expected, found)
  return isOpen && (expected.event.standsFor === 'anything' || mayBeSameThing(expected, found))
    ? 'unknown'
    : 'different'
}

/** For each event that is missing in one place and unexpected in another one: where the other place is. */
function displacements(pairs: readonly Pair[]): ReadonlyMap<Pair, Displacement> {
  const positions = new Map(pairs.map((pair, position) => [pair, position]))
  const missing = new Map<string, Pair[]>()
  // Backwards, so that the first one is the first to be taken from the end.
  for (const pair of pairs.toReversed()) {
    const key = pair.found === undefined && pair.expected?.isOpen === false ? pair.expected.key : undefined
    if (key === undefined) continue
    const alike = missing.get(key)
    if (alike === undefined) missing.set(key, [pair])
    else alike.push(pair)
  }
  const displaced = new Map<Pair, Displacement>()
  for (const pair of pairs) {
    if (pair.expected !== undefined || pair.found === undefined) continue
    const from = missing.get(pair.found.key)?.pop()
    if (from === undefined) continue
    const isLater = (positions.get(pair) ?? 0) > (positions.get(from) ?? 0)
    const place = { from: from.pcr, to: pair.pcr, isLater, what: from.expected?.event.what ?? '' }
    displaced.set(from, place)
    displaced.set(pair, place)
  }
  return displaced
}

function finding(pair: Pair, banks: readonly HashAlgorithm[], displacement: Displacement | undefined): EventFinding {
  const status = statusOf(pair)
  const predicted = pair.expected?.event
  const actual = pair.found?.event
  const digests = banks
    .map((bank, index) => {
      return { bank, expected: pair.expected?.digests[index], found: pair.found?.digests[index] || undefined }
    })
    // The strongest one first: it is the one that is told.
    .sort((a, b) => hashAlgorithmFacts(b.bank).digestBytes - hashAlgorithmFacts(a.bank).digestBytes)
  const facts = { ...(predicted === undefined ? {} : { predicted }), ...(actual === undefined ? {} : { actual }) }
  return { pcr: pair.pcr, status, ...facts, cause: findingCause({ status, ...facts, digests, displacement }) }
}
