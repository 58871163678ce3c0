import { styleText } from 'node:util'
import { type EventCounts, eventCounts } from './event-counts.ts'
import { printable } from './printable.ts'
import { type CheckReport, type RunReport, runHolds } from './run-report.ts'

export interface TerminalOptions {
  readonly isColored: boolean
}

const MARKS = { passed: '✓', failed: '✗', unsupported: '–' } as const
const COLORS = { passed: 'green', failed: 'red', unsupported: 'yellow' } as const

/** The report for people: one line a check, more where something is wrong. */
export function terminalSummary(report: RunReport, options: TerminalOptions): string {
  const paint = painter(options)
  const { run, summary } = report
  const lines = [
    '',
    paint('bold', `${run.image.name} ${run.image.version}`) +
      paint('dim', `  ${[run.cloud ?? 'no cloud', `firmware ${run.firmware}`, run.accelerator].join(', ')}`),
    '',
  ]
  lines.push(...checkLines(report.checks, options))
  for (const { title, reason } of report.notRun)
    lines.push(`  ${paint('yellow', '·')} ${title}: not run, ${printable(reason)}`)
  const counts = [
    `${summary.passed} passed`,
    `${summary.failed} failed`,
    ...(summary.unsupported > 0 ? [`${summary.unsupported} unsupported`] : []),
    ...(summary.notRun > 0 ? [`${summary.notRun} not run`] : []),
  ].join(', ')
  lines.push(
    '',
    `  ${paint(runHolds(report) ? 'green' : 'red', counts)}${paint('dim', ` in ${(run.durationMs / 1000).toFixed(1)} s`)}`,
    paint('dim', `  evidence  ${run.directory}`),
    paint('dim', `  again     ${run.command}`),
    '',
  )
  return lines.join('\n')
}

/** One line a check, more where something is wrong. */
export function checkLines(checks: readonly CheckReport[], options: TerminalOptions): string[] {
  const paint = painter(options)
  const lines: string[] = []
  const width = Math.max(0, ...checks.map(({ title }) => title.length))
  for (const check of checks) {
    const mark = paint(COLORS[check.status], MARKS[check.status])
    lines.push(`  ${mark} ${check.title.padEnd(width)}  ${paint('dim', firstFact(check))}`)
    if (check.status === 'failed') lines.push(...failureLines(check).map((line) => `      ${line}`))
    if (check.counts !== undefined) lines.push(...countLines(check.counts).map((line) => paint('dim', `      ${line}`)))
  }
  return lines
}

function painter({ isColored }: TerminalOptions) {
  return (color: 'green' | 'red' | 'yellow' | 'dim' | 'bold', text: string): string =>
    isColored ? styleText(color, text, { validateStream: false }) : text
}

function firstFact(check: CheckReport): string {
  if (check.status === 'failed') return ''
  return printable(check.evidence[0] ?? '')
}

function failureLines(check: CheckReport): string[] {
  return [
    ...(check.expected === undefined ? [] : [`expected  ${check.expected}`]),
    ...(check.found === undefined ? [] : [`found     ${check.found}`]),
    ...check.evidence,
    ...(check.hint === undefined ? [] : [`hint      ${check.hint}`]),
  ].flatMap((fact) => fact.split('\n').map(printable))
}

/** A column a PCR. */
function countLines(counts: NonNullable<CheckReport['counts']>): string[] {
  const columns = eventCounts(counts)
  const row = (title: string, value: (column: EventCounts) => number): string =>
    title.padEnd(9) + columns.map((column) => String(value(column)).padStart(4)).join('')
  return [
    row('PCR', ({ pcr }) => pcr),
    row('predicted', ({ predicted }) => predicted),
    row('actual', ({ actual }) => actual),
    row('unknown', ({ unknown }) => unknown),
  ]
}
