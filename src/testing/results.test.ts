import { describe, expect, it } from 'vitest'
import { judge, type TestResult } from './results.ts'

const NOW = new Date('2026-03-01T12:00:00Z')
const test = (name: string, changes: Partial<TestResult> = {}): TestResult => ({
  file: 'a.test.ts',
  name,
  state: 'passed',
  attempts: 1,
  ...changes,
})
const entry = (name: string, until = '2026-03-01') => ({
  test: name,
  reason: 'the mirror is slow',
  tracker: 'https://example.org/1',
  until,
})
const run = (tests: TestResult[]) => ({ tests, brokenFiles: [], errors: [] })

describe('judge()', () => {
  it('counts', () => {
    const results = run([test('a'), test('b', { state: 'failed' }), test('c', { state: 'skipped' })])
    expect(judge(results, [], NOW)).toEqual({ passed: 1, failed: 1, skipped: 1, remarks: [] })
  })

  it('names what needed more than one attempt', () => {
    const { passed, failed, remarks } = judge(run([test('g > flaky', { attempts: 2 }), test('a')]), [], NOW)
    expect({ passed, failed }).toEqual({ passed: 2, failed: 0 })
    expect(remarks).toEqual(['1 flaky: passed, but not at once:\n  a.test.ts: g > flaky (attempt 2)'])
  })

  it('does not count a failure in quarantine, and says until when', () => {
    const results = run([test('slow', { state: 'failed' }), test('other', { state: 'failed' })])
    const { failed, skipped, remarks } = judge(results, [entry('slow')], NOW)
    expect({ failed, skipped }).toEqual({ failed: 1, skipped: 1 })
    expect(remarks).toEqual([
      '1 in quarantine: failed, as is known:\n  a.test.ts: slow (until 2026-03-01: the mirror is slow, https://example.org/1)',
    ])
  })

  it('fails for an entry that has expired, even if its test passes', () => {
    const expired = [entry('slow', '2026-02-28')]
    expect(judge(run([test('slow')]), expired, NOW)).toMatchObject({ passed: 1, failed: 1 })
    expect(judge(run([test('slow', { state: 'failed' })]), expired, NOW)).toMatchObject({ failed: 2, skipped: 0 })
  })

  it('says when a test in quarantine passes', () => {
    expect(judge(run([test('slow')]), [entry('slow')], NOW).remarks).toEqual([
      'Passed in quarantine: the entry can go if this is not luck:\n  slow',
    ])
  })

  it('never forgives what is no test', () => {
    const results = { tests: [], brokenFiles: [{ file: 'b.test.ts', error: 'no such module\nat x' }], errors: ['late'] }
    expect(judge(results, [], NOW)).toMatchObject({ failed: 2 })
  })
})
