import type { CheckReport, CheckStatus, RunReport } from './run-report.ts'

/** A row: a check that many images can have. */
export interface MatrixRow {
  readonly id: string
  readonly title: string
}

/** What became of a check on an image the last time that it was asked there. */
export interface MatrixCell {
  readonly status: CheckStatus
  /** Why it is not passed. */
  readonly reason: string | undefined
  readonly run: string
  readonly at: string
  /** It was another image then: built from other inputs than the one that is there now. */
  readonly isStale: boolean
}

export interface Matrix {
  readonly images: readonly string[]
  readonly rows: readonly (MatrixRow & { readonly cells: Readonly<Record<string, MatrixCell>> })[]
}

/**
 * Checks × images from the reports of real runs, the newest of each cell; one of the image as it is now is preferred.
 *
 * @param current identity of each image that is built now
 */
export function matrixOf(
  rows: readonly MatrixRow[],
  reports: readonly RunReport[],
  current: ReadonlyMap<string, string>,
): Matrix {
  const ordered = [...reports].sort((a, b) => (a.run.startedAt < b.run.startedAt ? 1 : -1))
  const images = [...new Set(ordered.map(({ run }) => run.image.name))].sort()
  const cellOf = (id: string, image: string): MatrixCell | undefined => {
    const cells = ordered.flatMap(({ run, checks }) => {
      const check = run.image.name === image ? checks.find((found) => found.id === id) : undefined
      return check === undefined ? [] : [cell(check, run, current.get(image) !== run.image.identity)]
    })
    return cells.find(({ isStale }) => !isStale) ?? cells[0]
  }
  const filled = rows.map((row) => ({
    ...row,
    cells: Object.fromEntries(
      images.flatMap((image) => {
        const found = cellOf(row.id, image)
        return found === undefined ? [] : [[image, found] as const]
      }),
    ),
  }))
  return { images: images.filter((image) => filled.some(({ cells }) => image in cells)), rows: filled }
}

function cell(check: CheckReport, run: RunReport['run'], isStale: boolean): MatrixCell {
  const difference = check.expected === undefined ? undefined : `expected ${check.expected}, found ${check.found}`
  const reason = check.status === 'passed' ? undefined : (difference ?? check.found ?? check.evidence.join('; '))
  return { status: check.status, reason, run: run.id, at: run.startedAt, isStale }
}

const MARKS: Readonly<Record<CheckStatus, string>> = { passed: '✓', failed: '✗', unsupported: '–' }
const NEVER = '·'
const STALE = '*'
const LEGEND = '✓ passed, ✗ failed, – unsupported, · never asked; * of another build of the image'

function mark(found: MatrixCell | undefined): string {
  return found === undefined ? NEVER : `${MARKS[found.status]}${found.isStale ? STALE : ''}`
}

/** For a terminal: the table, and why what is not passed is not. */
export function matrixText({ images, rows }: Matrix): string {
  const width = Math.max(0, ...rows.map(({ title }) => title.length))
  const head = ['', ...images]
  const lines = [head, ...rows.map(({ title, cells }) => [title, ...images.map((image) => mark(cells[image]))])].map(
    ([first = '', ...others]) =>
      `${first.padEnd(width)}  ${others.map((word, index) => word.padEnd((images[index] ?? '').length)).join('  ')}`.trimEnd(),
  )
  const reasons = rows.flatMap(({ title, cells }) =>
    Object.entries(cells).flatMap(([image, { reason, status }]) =>
      reason === undefined ? [] : [`${MARKS[status]} ${image}: ${title}: ${reason}`],
    ),
  )
  return `${[...lines, '', LEGEND, ...(reasons.length === 0 ? [] : ['', ...reasons])].join('\n')}\n`
}

/** For a README. */
export function matrixMarkdown({ images, rows }: Matrix): string {
  const line = (words: readonly string[]) => `| ${words.join(' | ')} |`
  const lines = [
    line(['', ...images]),
    line(['---', ...images.map(() => ':-:')]),
    ...rows.map(({ title, cells }) =>
      line([title, ...images.map((image) => mark(cells[image]).replace(STALE, `\\${STALE}`))]),
    ),
  ]
  return `${lines.join('\n')}\n\n${LEGEND.replace(STALE, `\\${STALE}`)}\n`
}
