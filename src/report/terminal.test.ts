import { stripVTControlCharacters } from 'node:util'
import { describe, expect, it } from 'vitest'
import { COUNTED, FAILED, NOT_RUN, PASSED, reportOf, UNSUPPORTED } from './example.test-support.ts'
import { terminalSummary } from './terminal.ts'

const plain = { isColored: false }

describe('terminalSummary()', () => {
  it('has a line a check, and more where something is wrong', () => {
    expect(terminalSummary(reportOf([PASSED, FAILED, UNSUPPORTED], [NOT_RUN]), plain)).toMatchInlineSnapshot(`
      "
      cloud 1  aws, firmware plain, tcg

        ✓ The TPM is there       TPM 2.0 with sha256
        ✗ PCR 11 is right        
            expected  aa
            found     bb
            sha256: predicted aa, found bb
            two
            lines
            hint      Look again.
        – The hostname is given  the machine was started in no cloud
        · The logs replay: not run, the machine did not boot

        1 passed, 1 failed, 1 unsupported, 1 not run in 61.2 s
        evidence  out/runs/20260102T030405Z-abcd
        again     ./bootwright verify cloud
      "
    `)
  })

  it('has a column a PCR for measurements that were counted', () => {
    expect(
      terminalSummary(reportOf([COUNTED]), plain)
        .split('\n')
        .slice(3, 8),
    ).toEqual([
      '  ✓ Every event is right  TPM 2.0 with sha256',
      '      PCR         4  11',
      '      predicted   3  16',
      '      actual      3  15',
      '      unknown     0   1',
    ])
  })

  it('says that nothing was checked', () => {
    expect(terminalSummary(reportOf([]), plain)).toContain('0 passed, 0 failed in')
  })

  it('has the same words with colours', () => {
    const report = reportOf([PASSED, FAILED, UNSUPPORTED], [NOT_RUN])
    const colored = terminalSummary(report, { isColored: true })
    expect(colored).toContain('\x1b[')
    expect(stripVTControlCharacters(colored)).toBe(terminalSummary(report, plain))
  })

  it('is green only where the run holds', () => {
    const counts = (report: ReturnType<typeof reportOf>) =>
      terminalSummary(report, { isColored: true })
        .split('\n')
        .find((line) => line.includes(' passed, '))
    expect(counts(reportOf([PASSED]))).toContain('\x1b[32m1 passed')
    for (const report of [reportOf([UNSUPPORTED]), reportOf([PASSED], [NOT_RUN]), reportOf([PASSED, FAILED])]) {
      expect(counts(report)).toContain('\x1b[31m')
    }
  })

  it("does not let a guest's words reach the terminal's controls", () => {
    const evil = '\x1b]0;owned\x07\x1b[2J\r\x9b31m'
    const summary = terminalSummary(
      reportOf(
        [
          { ...PASSED, evidence: [evil] },
          { ...FAILED, expected: evil, found: evil, evidence: [evil] },
        ],
        [{ ...NOT_RUN, reason: evil }],
      ),
      plain,
    )
    expect(summary.replaceAll('\n', '')).not.toMatch(/\p{Cc}/u)
  })
})
