import { describe, expect, it } from 'vitest'
import type { CheckContext } from '../verify/index.ts'
import { checkOf, claim, type Feature, GROUPS, negative } from './feature.ts'
import { FEATURES, featureChecks } from './index.ts'

const context = {} as CheckContext
const feature = (claims: Awaited<ReturnType<Feature['observe']>>, missing: string[] = []): Feature => ({
  id: 'made-up',
  group: 'network',
  title: 'A made-up one',
  topic: 'none',
  requires: [
    { name: 'is there', isMet: async () => true },
    ...missing.map((name) => ({ name, isMet: async () => false })),
  ],
  observe: async () => claims,
})

describe('checkOf()', () => {
  it('passes when the feature is seen both on and off', async () => {
    const check = checkOf(feature([claim('answers', 1, 1), negative('answers', 0, 0)]))
    expect(check).toMatchObject({ id: 'feature-made-up', title: 'A made-up one' })
    expect(await check.run(context)).toEqual({ status: 'passed', evidence: ['answers: 1', 'off: answers: 0'] })
  })

  it.each([
    [claim('answers', 2, 1), negative('answers', 0, 0), { expected: 'answers: 2', found: '1' }],
    [claim('answers', 1, 1), negative('still', false, true), { expected: 'still: false', found: 'true' }],
  ])('fails with what is not as it should be', async (one, other, difference) => {
    expect(await checkOf(feature([one, other])).run(context)).toMatchObject({ status: 'failed', ...difference })
  })

  it('is unsupported with all that is missing, and then looks at nothing', async () => {
    const missing = ['no program', 'no kernel option']
    const never = { ...feature([], missing), observe: () => Promise.reject(new Error('looked')) }
    expect(await checkOf(never).run(context)).toEqual({ status: 'unsupported', evidence: missing })
  })

  it.each([[[claim('a', 1, 1)]], [[negative('a', 1, 1)]], [[]]])(
    'never passes what was seen one way only',
    async (claims) => {
      await expect(checkOf(feature(claims)).run(context)).rejects.toMatchObject({ code: 'BUG' })
    },
  )
})

describe('featureChecks()', () => {
  it('has each feature once, in a group that there is, with something that it needs', () => {
    expect(new Set(FEATURES.map(({ id }) => id)).size).toBe(FEATURES.length)
    for (const { group, requires } of FEATURES) {
      expect(GROUPS).toContain(group)
      expect(requires.length).toBeGreaterThan(0)
    }
    expect(new Set(FEATURES.map(({ group }) => group))).toEqual(new Set(GROUPS))
  })

  it('chooses by group, and lists the groups when there is none of that name', () => {
    const network = FEATURES.filter(({ group }) => group === 'network')
    expect(featureChecks(['network']).map(({ id }) => id)).toEqual(network.map(({ id }) => `feature-${id}`))
    expect(featureChecks()).toHaveLength(FEATURES.length)
    expect(() => featureChecks(['network', 'nope'])).toThrow(expect.objectContaining({ code: 'UNKNOWN_NAME' }))
  })
})
