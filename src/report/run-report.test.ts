import { describe, expect, it } from 'vitest'
import { FAILED, NOT_RUN, PASSED, reportOf, UNSUPPORTED } from './example.test-support.ts'
import { runHolds, summarize } from './run-report.ts'

describe('runHolds()', () => {
  it.for([
    ['every check passed', reportOf([PASSED, PASSED]), true],
    ['some passed and the rest is unsupported', reportOf([PASSED, UNSUPPORTED]), true],
    ['one failed', reportOf([PASSED, FAILED]), false],
    ['one was not run', reportOf([PASSED], [NOT_RUN]), false],
    ['nothing was checked', reportOf([]), false],
    ['everything is unsupported', reportOf([UNSUPPORTED]), false],
    ['nothing but what was not run', reportOf([], [NOT_RUN]), false],
  ] as const)('when %s', ([, report, holds]) => {
    expect(runHolds(report)).toBe(holds)
  })
})

describe('summarize()', () => {
  it('counts each kind', () => {
    expect(summarize([PASSED, FAILED, UNSUPPORTED, FAILED], [NOT_RUN])).toEqual({
      passed: 1,
      failed: 2,
      unsupported: 1,
      notRun: 1,
    })
  })
})
