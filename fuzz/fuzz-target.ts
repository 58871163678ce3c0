import { seededRandom } from '../src/formats/index.ts'
import { BootwrightError } from '../src/system/index.ts'
import { Coverage } from './coverage.ts'
import { mutate } from './mutate.ts'
import type { FuzzTarget } from './targets.ts'

/** What is wrong with a parser, and the input that shows it. */
export interface FuzzFinding {
  readonly kind: 'crash' | 'hang'
  readonly problem: string
  readonly input: Uint8Array
}

export interface FuzzResult {
  readonly inputs: number
  /** How many of them were taken; the others were refused with a typed error. */
  readonly accepted: number
  readonly slowestMs: number
  /** Characters of source that ran, first with the corpus alone. */
  readonly coverage: readonly [before: number, after: number]
  /** Inputs that ran what no input before them had run. */
  readonly found: readonly Uint8Array[]
  readonly findings: readonly FuzzFinding[]
}

const MAX_BYTES = 4096
/** Taking the coverage costs a millisecond or two: it is asked for many inputs at once, and only then for each. */
const BATCH = 256
/** A real input of this size takes a thousandth of it. */
const HANG_MS = 1_000
/** Under the eyes of the profiler all runs ten times as slowly: when so many inputs have shown nothing new, the rest go without. */
const UNGUIDED_AFTER = 40_000
const MAX_FINDINGS = 5

/** Gives a parser mutated inputs, and goes on from those that run what has not run before. The same seed, the same inputs. */
export async function fuzzTarget(
  target: FuzzTarget,
  corpus: readonly Uint8Array[],
  options: { readonly inputs: number; readonly seed: number },
): Promise<FuzzResult> {
  const random = seededRandom(options.seed)
  const words = (target.words ?? []).map((word) => Buffer.from(word, 'latin1'))
  const pool = [...target.seeds(), ...corpus]
  const found: Uint8Array[] = []
  const findings: FuzzFinding[] = []
  const coverage = new Coverage()
  await coverage.start()
  let accepted = 0
  let slowestMs = 0

  const tryOne = (input: Uint8Array): void => {
    const begun = performance.now()
    const finding = outcome(target, input)
    let took = performance.now() - begun
    // It may have been the collector of garbage, or the host.
    if (took > HANG_MS) {
      const again = performance.now()
      outcome(target, input)
      took = Math.min(took, performance.now() - again)
    }
    slowestMs = Math.max(slowestMs, took)
    if (took > HANG_MS) findings.push({ kind: 'hang', problem: `${Math.round(took)} ms`, input })
    if (finding === 'accepted') accepted++
    else if (finding !== 'refused') findings.push({ kind: 'crash', problem: finding, input })
  }

  for (const input of pool) tryOne(input)
  await coverage.merge()
  const before = coverage.size
  let count = 0
  let lastNew = 0
  let isGuided = true
  while (count < options.inputs && findings.length < MAX_FINDINGS) {
    const batch = Array.from({ length: Math.min(BATCH, options.inputs - count) }, () => {
      const [one, other] = [pick(pool, random), pick(pool, random)]
      const input = mutate(one, other, random, target.maxBytes ?? MAX_BYTES, words)
      if (target.mend !== undefined && random() < 0.7) target.mend(input)
      return input
    })
    count += batch.length
    for (const input of batch) tryOne(input)
    if (!isGuided) continue
    if (count - lastNew > UNGUIDED_AFTER) {
      await coverage.stop()
      isGuided = false
      continue
    }
    if (!(await coverage.isNew())) continue
    lastNew = count
    for (const input of batch) {
      outcome(target, input)
      if (!(await coverage.isNew())) continue
      await coverage.merge()
      found.push(input)
      pool.push(input)
    }
  }
  if (isGuided) await coverage.stop()
  return { inputs: count, accepted, slowestMs, coverage: [before, coverage.size], found, findings }
}

/** `accepted`, `refused` with a typed error, or what went wrong. */
export function outcome(target: FuzzTarget, input: Uint8Array): string {
  try {
    target.parse(input)
    return 'accepted'
  } catch (error) {
    if (error instanceof BootwrightError && error.code !== 'BUG') return 'refused'
    return error instanceof Error ? (error.stack ?? error.message) : String(error)
  }
}

/** The newer ones more often. */
function pick(pool: readonly Uint8Array[], random: () => number): Uint8Array {
  const index = random() < 0.5 ? Math.floor(Math.sqrt(random()) * pool.length) : Math.floor(random() * pool.length)
  return pool[index] ?? new Uint8Array()
}
