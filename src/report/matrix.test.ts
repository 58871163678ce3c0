import { describe, expect, it } from 'vitest'
import { matrixMarkdown, matrixOf, matrixText } from './matrix.ts'
import type { CheckReport, RunReport } from './run-report.ts'

const ROWS = [
  { id: 'feature-a', title: 'Feature a' },
  { id: 'feature-bb', title: 'Feature bb' },
]

function report(image: string, identity: string, at: string, checks: readonly Partial<CheckReport>[]): RunReport {
  const run = { id: `run-${at}`, startedAt: at, image: { name: image, version: '1', identity } }
  return {
    run,
    checks: checks.map((check) => ({ evidence: [], title: 't', durationMs: 1, ...check })),
  } as unknown as RunReport
}

const CURRENT = new Map([
  ['cloud', 'now'],
  ['minimal', 'now'],
])

describe('matrixOf()', () => {
  it('has the newest result of each check and image, rather of the image that is there now', () => {
    const { images, rows } = matrixOf(
      ROWS,
      [
        report('cloud', 'now', '2026-01-01', [{ id: 'feature-a', status: 'failed', expected: '1', found: '2' }]),
        report('cloud', 'now', '2026-01-02', [{ id: 'feature-a', status: 'passed' }]),
        report('cloud', 'old', '2026-01-03', [
          { id: 'feature-a', status: 'failed', found: 'x' },
          { id: 'feature-bb', status: 'unsupported', evidence: ['no tool', 'no kernel option'] },
        ]),
        report('minimal', 'old', '2026-01-01', [{ id: 'feature-a', status: 'passed' }]),
        report('other', 'now', '2026-01-01', [{ id: 'boot', status: 'passed' }]),
      ],
      CURRENT,
    )
    expect(images).toEqual(['cloud', 'minimal'])
    expect(rows[0]?.cells).toMatchObject({
      cloud: { status: 'passed', reason: undefined, run: 'run-2026-01-02', isStale: false },
      minimal: { status: 'passed', isStale: true },
    })
    expect(rows[1]?.cells).toEqual({
      cloud: {
        status: 'unsupported',
        reason: 'no tool; no kernel option',
        run: 'run-2026-01-03',
        at: '2026-01-03',
        isStale: true,
      },
    })
  })

  it('is stale when the image is not there any more', () => {
    const { rows } = matrixOf(
      ROWS,
      [report('gone', 'now', '2026-01-01', [{ id: 'feature-a', status: 'passed' }])],
      CURRENT,
    )
    expect(rows[0]?.cells.gone?.isStale).toBe(true)
  })
})

describe('a matrix', () => {
  const matrix = matrixOf(
    ROWS,
    [
      report('cloud', 'now', '2026-01-01', [
        { id: 'feature-a', status: 'passed' },
        { id: 'feature-bb', status: 'failed', expected: '1', found: '2' },
      ]),
      report('minimal', 'old', '2026-01-01', [{ id: 'feature-a', status: 'unsupported', evidence: ['no TPM'] }]),
    ],
    CURRENT,
  )

  it('is a table on a terminal, with the reasons', () => {
    expect(matrixText(matrix)).toBe(`            cloud  minimal
Feature a   ✓      –*
Feature bb  ✗      ·

✓ passed, ✗ failed, – unsupported, · never asked; * of another build of the image

– minimal: Feature a: no TPM
✗ cloud: Feature bb: expected 1, found 2
`)
  })

  it('is a table in Markdown', () => {
    expect(matrixMarkdown(matrix).split('\n').slice(0, 4)).toEqual([
      '|  | cloud | minimal |',
      '| --- | :-: | :-: |',
      '| Feature a | ✓ | –\\* |',
      '| Feature bb | ✗ | · |',
    ])
  })

  it('without a run has no image', () => {
    expect(matrixText(matrixOf(ROWS, [], CURRENT))).toContain('Feature a\n')
  })
})
