import { describe, expect, it } from 'vitest'
import { acquireProblem, assessment, type PlanBehaviour, type PlannedTransfer, planUpdate } from './plan.ts'
import type { Instance } from './types.ts'

/** `~1` is partial, `?1` pending. */
function instance(word: string): Instance {
  const state = word.startsWith('~') ? 'partial' : word.startsWith('?') ? 'pending' : 'complete'
  const version = word.replace(/^[~?]/, '')
  return { type: 'regular-file', path: `/${word}`, fields: { version }, state, patternIndex: 0 }
}

const words = (text: string): string[] => text.split(' ').filter(Boolean)

function transfer(installed: string, available: string, facts: Partial<PlannedTransfer> = {}): PlannedTransfer {
  return {
    id: 't',
    minVersion: undefined,
    protectVersions: [],
    installed: words(installed).map(instance),
    available: words(available).map(instance),
    ...facts,
  }
}

/** What a list shows, and the candidate. */
function shown(transfers: readonly PlannedTransfer[], behaviour?: PlanBehaviour): string {
  const { sets, candidate } = planUpdate(transfers, behaviour)
  return `${sets.map((set) => `${set.version} ${assessment(set)}`).join(', ')} → ${candidate?.version ?? 'none'}`
}

// The names are those that systemd-sysupdate 262 gives; original.test.ts holds whole plans against it.
describe('planUpdate()', () => {
  it('offers what is newer, and calls the rest what it is', () => {
    const facts = { minVersion: '1', protectVersions: ['1'] }
    expect(shown([transfer('0.5 1 2', '1 2 3 4', facts)])).toBe(
      '4 candidate, 3 available, 2 current, 1 protected, 0.5 installed+obsolete → 4',
    )
    expect(shown([transfer('', '1', { minVersion: '2' })])).toBe('1 available+obsolete → none')
    expect(shown([transfer('2', '2')])).toBe('2 current → none')
    expect(shown([transfer('2', '')])).toBe('2 current → none')
    expect(shown([])).toBe(' → none')
  })

  it('offers only what is there for each transfer, and repairs what is not', () => {
    expect(shown([transfer('1 2', '3 4'), transfer('1 2 2.5', '1 3 4'), transfer('2', '1 2 3')])).toBe(
      '3 candidate, 2.5 current+incomplete, 2 installed, 1 installed+incomplete → 3',
    )
    expect(shown([transfer('2', '2'), transfer('', '2')])).toBe('2 current+incomplete → 2')
    const { sets } = planUpdate([transfer('2', '2'), transfer('', '2')])
    expect(sets[0]?.instances.map((found) => found?.path)).toEqual(['/2', '/2'])
  })

  it('does not offer what is older than what is installed, though a list calls it so in the original', () => {
    expect(shown([transfer('3', '2')], 'original')).toBe('3 current, 2 candidate → none')
    expect(shown([transfer('3', '2')])).toBe('3 current, 2 available → none')
  })

  it('goes on with what is pending', () => {
    expect(shown([transfer('1 ?2', '')])).toBe('2 current+pending, 1 installed → 2')
    expect(shown([transfer('1 ?2', '3')])).toBe('3 candidate, 2 current+pending, 1 installed → 3')
  })

  it('counts what is missing beside something pending, which the original does not', () => {
    const transfers = [transfer('1 ?2', '2'), transfer('1', '2')]
    expect(shown(transfers, 'original')).toBe('2 current+pending, 1 installed → 2')
    expect(shown(transfers)).toBe('2 current+pending+incomplete, 1 installed → 2')
    const [set] = planUpdate([transfer('1 ?2', ''), transfer('1', '')]).sets
    expect(set && acquireProblem(set, 'correct')).toBe("Selected update '2' is not available, refusing.")
  })

  it('takes over what is partial, which the original refuses', () => {
    const plan = (behaviour: PlanBehaviour) => planUpdate([transfer('1 ~2', '2')], behaviour)
    for (const behaviour of ['original', 'correct'] as const) {
      expect(plan(behaviour).candidate?.version).toBe('2')
    }
    const [set] = plan('correct').sets
    expect(set && acquireProblem(set, 'correct')).toBeUndefined()
    expect(set && acquireProblem(set, 'original')).toMatch(
      /is already acquired and partially installed\. Vacuum it to try installing again\.$/,
    )
    expect(shown([transfer('1 ~2', '')])).toBe('2 current+partial, 1 installed → none')
  })

  it('gives unfinished versions that are not the newest a name, where the original aborts', () => {
    expect(shown([transfer('2.5', ''), transfer('?2', '')])).toBe(
      '2.5 current+incomplete, 2 installed+pending+incomplete → none',
    )
  })

  it('passes over what has burnt all its tries, unless it is running', () => {
    const burnt = { ...instance('2'), fields: { version: '2', triesLeft: 0n, triesDone: 3n } }
    const transfers = [{ ...transfer('', '2 3'), installed: [instance('1'), burnt] }]
    const failed = (running?: string, behaviour?: PlanBehaviour) =>
      planUpdate(transfers, behaviour, running)
        .sets.filter(({ isFailed }) => isFailed)
        .map((set) => `${set.version} ${assessment(set)}`)
    expect(failed('1')).toEqual(['2 current+failed'])
    expect(failed('2')).toEqual([])
    expect(failed()).toEqual([])
    expect(failed('1', 'original')).toEqual([])
    // It is not offered again, and what is newer is.
    expect(planUpdate(transfers, 'correct', '1').candidate?.version).toBe('3')
    expect(planUpdate([{ ...transfer('', '2'), installed: [burnt] }], 'correct', '1').candidate).toBeUndefined()
  })

  it('does not offer again what has burnt its tries and was deleted, nor repairs what has', () => {
    const plan = (available: string, behaviour?: PlanBehaviour) =>
      planUpdate([transfer('1', available)], behaviour, '1', ['2'])
    const { sets, candidate } = plan('2')
    expect(candidate).toBeUndefined()
    expect(sets.map(assessment)).toEqual(['available+failed', 'current'])
    expect(plan('2 3').candidate?.version).toBe('3')
    expect(plan('2', 'original').candidate?.version).toBe('2')
    const burnt = { ...instance('2'), fields: { version: '2', triesLeft: 0n, triesDone: 3n } }
    const broken = [{ ...transfer('', '2'), installed: [instance('1'), burnt] }, transfer('1', '2')]
    expect(planUpdate(broken, 'correct', '1').candidate).toBeUndefined()
    expect(planUpdate(broken, 'correct', '2').candidate?.version).toBe('2')
  })

  it('chooses the same of two that are equal, whatever their order', () => {
    const two = [
      { ...instance('1_b'), path: '/x', patternIndex: 1 },
      { ...instance('1+b'), path: '/y', patternIndex: 0 },
    ]
    for (const installed of [two, two.toReversed()]) {
      const { sets } = planUpdate([{ ...transfer('', ''), installed }])
      expect(sets.map((set) => set.instances[0]?.path)).toEqual(['/y'])
    }
  })
})
