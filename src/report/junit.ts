import { eventCounts } from './event-counts.ts'
import type { CheckReport, RunReport } from './run-report.ts'

/** The report as JUnit XML, in the shape that CI systems read: one test suite, one test case a check. */
export function junitXml(report: RunReport): string {
  const { run, checks, notRun, summary } = report
  const cases = [
    ...checks.map((check) => testCase(run.image.name, check)),
    ...notRun.map(
      ({ id, title, reason }) =>
        `    <testcase classname="${xml(run.image.name)}" name="${xml(`${id}: ${title}`)}" time="0">\n` +
        `      <error message="${xml(`not run: ${reason}`)}"/>\n    </testcase>`,
    ),
  ]
  const attributes = [
    `name="bootwright verify ${xml(run.image.name)}"`,
    `tests="${cases.length}"`,
    `failures="${summary.failed}"`,
    `errors="${summary.notRun}"`,
    `skipped="${summary.unsupported}"`,
    `time="${seconds(run.durationMs)}"`,
    `timestamp="${xml(run.startedAt)}"`,
  ].join(' ')
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n  <testsuite ${attributes}>\n${cases.join('\n')}\n  </testsuite>\n</testsuites>\n`
}

function testCase(image: string, check: CheckReport): string {
  const head = `    <testcase classname="${xml(image)}" name="${xml(`${check.id}: ${check.title}`)}" time="${seconds(check.durationMs)}">`
  const evidence = xml([...check.evidence, ...countLines(check)].join('\n'))
  const outcome =
    check.status === 'failed'
      ? `      <failure message="${xml(failureMessage(check))}">${evidence}</failure>\n`
      : check.status === 'unsupported'
        ? `      <skipped message="${xml(check.evidence.join('; '))}"/>\n`
        : `      <system-out>${evidence}</system-out>\n`
  return `${head}\n${outcome}    </testcase>`
}

function countLines({ counts = {} }: CheckReport): string[] {
  return eventCounts(counts).map(
    ({ pcr, predicted, actual, unknown }) => `PCR ${pcr}: ${predicted} predicted, ${actual} actual, ${unknown} unknown`,
  )
}

function failureMessage(check: CheckReport): string {
  if (check.expected !== undefined || check.found !== undefined) {
    return `expected ${check.expected ?? 'nothing'}, found ${check.found ?? 'nothing'}`
  }
  return check.evidence[0] ?? 'failed'
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(3)
}

/** XML 1.0 has no way to write most control characters: they become U+FFFD. */
function xml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll('\n', '&#10;')
    .replaceAll(/\p{Cc}|[\uFFFE\uFFFF]|\p{Cs}/gu, (character) => (character === '\t' ? character : '\uFFFD'))
}
