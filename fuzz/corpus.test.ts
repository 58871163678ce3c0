import { describe, expect, it } from 'vitest'
import { seededRandom } from '../src/formats/index.ts'
import { readCorpus } from './corpus.ts'
import { outcome } from './fuzz-target.ts'
import { mutate } from './mutate.ts'
import { TARGETS } from './targets.ts'

/** `fuzz/run.ts` makes a million of each. */
const MUTATIONS = 300

describe.for(Object.entries(TARGETS))('%s', ([name, target]) => {
  const pool = [...target.seeds(), ...readCorpus(name)]

  it('takes what is as it should be', () => {
    expect(target.seeds().map((seed) => outcome(target, seed))).toEqual(target.seeds().map(() => 'accepted'))
  })

  it('takes or refuses with a typed error whatever is not', () => {
    const random = seededRandom(7)
    const broken = pool.flatMap((input, index) => {
      const other = pool[(index * 7) % pool.length] ?? input
      const count = Math.ceil(MUTATIONS / pool.length)
      return Array.from({ length: count }, () => mutate(input, other, random, 16 * 1024, []))
    })
    const outcomes = new Set([...pool, ...broken].map((input) => outcome(target, input)))
    expect([...outcomes].filter((one) => one !== 'accepted' && one !== 'refused')).toEqual([])
  })
})

describe('outcome()', () => {
  it('tells a bug from a refusal', () => {
    const target = { seeds: () => [], parse: (bytes: Uint8Array) => (bytes as unknown as { x: { y: number } }).x.y }
    expect(outcome(target, Buffer.of(1))).toMatch(/^TypeError: Cannot read properties of undefined/)
  })
})
