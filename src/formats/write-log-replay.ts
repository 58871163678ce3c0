import { BootwrightError } from '../system/index.ts'
import { seededRandom } from './seeded-random.ts'
import type { WriteLog, WriteLogEntry } from './write-log.ts'

/** A moment from which on the writes before it survive a power cut. */
export interface WritePoint {
  /** How many entries of the log come before it, the one that makes it included. */
  readonly at: number
  readonly cause: 'flush' | 'fua'
}

/**
 * What a power cut leaves of the writes since the last flush:
 * - `exact`: all of them, in order; nothing is ever in flight
 * - `lost`: some of them, as a disk leaves them whose cache writes back in an order of its own
 * - `reordered`: some of them, and where two overlap the older one may win; worse than an honest disk
 * - `torn`: the first ones, and of the next one only the beginning, up to a sector or (`within: 'sector'`) up to any byte
 *
 * The same seed gives the same disk.
 */
export type CrashMode =
  | { readonly kind: 'exact' }
  | { readonly kind: 'lost'; readonly seed: number }
  | { readonly kind: 'reordered'; readonly seed: number }
  | { readonly kind: 'torn'; readonly seed: number; readonly within?: 'write' | 'sector' }

/** A change of a disk: bytes of the log to be written, or a range to be discarded. */
export interface WriteStep {
  readonly kind: 'write' | 'discard'
  readonly offset: number
  readonly length: number
  /** Where in the log the bytes are. */
  readonly dataOffset: number
}

/** All flushes and forced writes of a log. */
export function writePoints(log: WriteLog): WritePoint[] {
  return log.entries.flatMap(({ index, isFlush, isFua }) =>
    isFlush || isFua ? [{ at: index + 1, cause: isFlush ? ('flush' as const) : ('fua' as const) }] : [],
  )
}

/** Number of entries up to and including the n-th write (or flush), counted from 1. Rejects with `INVALID_ARGUMENT`. */
export function nthEntry(log: WriteLog, kind: 'write' | 'flush', n: number): number {
  const found = log.entries.filter((entry) => (kind === 'flush' ? entry.isFlush : entry.length > 0))
  const entry = Number.isInteger(n) && n >= 1 ? found[n - 1] : undefined
  if (entry === undefined) {
    throw new BootwrightError('INVALID_ARGUMENT', `There is no ${kind} ${n} in the log; it has ${found.length}`)
  }
  return entry.index + 1
}

/** Number of entries before the last flush among the first `at`: these survive whatever the mode. */
export function settledBefore(log: WriteLog, at: number): number {
  return Math.max(
    log.entries.slice(0, at).findLastIndex(({ isFlush }) => isFlush),
    0,
  )
}

/**
 * What has to be done to a disk for it to be as after a power cut behind the first `at` entries.
 *
 * @param from entries that the disk has had already, and in full: with another mode than `exact` no more than
 *   {@link settledBefore}. Rejects with `INVALID_ARGUMENT`.
 */
export function stepsUpTo(log: WriteLog, at: number, mode: CrashMode = { kind: 'exact' }, from = 0): WriteStep[] {
  const settled = mode.kind === 'exact' ? at : settledBefore(log, at)
  if (!(Number.isInteger(at) && at >= 0 && at <= log.entries.length && from >= 0 && from <= settled)) {
    throw new BootwrightError(
      'INVALID_ARGUMENT',
      `Expected a point from ${from} to ${log.entries.length} of the write log, found ${at}`,
    )
  }
  const safe = log.entries.slice(from, settled).flatMap(stepOf)
  return mode.kind === 'exact' ? safe : [...safe, ...survivors(log.entries.slice(settled, at), mode, log.sectorSize)]
}

/** What is left of the writes since the last flush. */
function survivors(
  open: readonly WriteLogEntry[],
  mode: Exclude<CrashMode, { kind: 'exact' }>,
  sectorSize: number,
): WriteStep[] {
  const random = seededRandom(mode.seed)
  if (mode.kind === 'torn') return torn(open, random, mode.within === 'sector' ? 1 : sectorSize)
  const left = open.filter(({ isFua }) => isFua || random() < 0.5)
  return (mode.kind === 'lost' ? left : shuffled(left, random)).flatMap(stepOf)
}

function torn(open: readonly WriteLogEntry[], random: () => number, unit: number): WriteStep[] {
  const volatile = open.filter(({ isFua, isDiscard, length }) => !isFua && !isDiscard && length > 0)
  const victim = volatile[Math.floor(random() * volatile.length)]
  if (victim === undefined) return open.flatMap(stepOf)
  return open.flatMap((entry) => {
    if (entry.index < victim.index || entry.isFua) return stepOf(entry)
    if (entry !== victim) return []
    const units = entry.length / unit
    const length = units < 2 ? 0 : (1 + Math.floor(random() * (units - 1))) * unit
    return length === 0 ? [] : [{ kind: 'write' as const, offset: entry.offset, length, dataOffset: entry.dataOffset }]
  })
}

function stepOf({ offset, length, dataOffset, isDiscard }: WriteLogEntry): WriteStep[] {
  return length === 0 ? [] : [{ kind: isDiscard ? 'discard' : 'write', offset, length, dataOffset }]
}

/** Fisher–Yates. */
function shuffled<T>(items: readonly T[], random: () => number): T[] {
  const result = [...items]
  for (let last = result.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1))
    const [a, b] = [result[last], result[other]] as [T, T]
    result[last] = b
    result[other] = a
  }
  return result
}
