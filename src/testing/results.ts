import { extname, join } from 'node:path'
import { isExpired, type QuarantineEntry } from './quarantine.ts'

/** Names the file that the reporter writes, for Vitest's process. */
export const RESULTS_VARIABLE = 'BOOTWRIGHT_RESULTS'

/** The reporter that writes it, for Vitest's `--reporter`. It loads Vitest, so this program must not import it. */
export const REPORTER = join(import.meta.dirname, `reporter${extname(import.meta.filename)}`)

export interface TestResult {
  readonly file: string
  /** Groups and test, joined by ` > `. */
  readonly name: string
  readonly state: 'passed' | 'failed' | 'skipped'
  readonly attempts: number
  readonly firstError?: string | undefined
}

/** What a run of Vitest came to. */
export interface TestResults {
  readonly tests: readonly TestResult[]
  readonly brokenFiles: readonly { readonly file: string; readonly error: string }[]
  /** Errors outside any test. */
  readonly errors: readonly string[]
}

export interface Verdict {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
  /** What a reader must know besides the counts, a paragraph each. */
  readonly remarks: readonly string[]
}

/**
 * Counts results. A test that passed on a later attempt is passed and named as flaky. One in quarantine that fails is
 * skipped and named; when its entry has expired, the entry is a failure of its own, whatever the test does.
 */
export function judge(results: TestResults, quarantine: readonly QuarantineEntry[], now: Date): Verdict {
  const expired = quarantine.filter((entry) => isExpired(entry, now))
  const valid = quarantine.filter((entry) => !expired.includes(entry))
  const entryOf = (test: TestResult) => valid.find((entry) => entry.test === test.name)
  const failed = results.tests.filter(({ state }) => state === 'failed')
  const quarantined = failed.filter((test) => entryOf(test) !== undefined)
  const passed = results.tests.filter(({ state }) => state === 'passed')
  const flaky = passed.filter(({ attempts }) => attempts > 1)
  const healed = valid.filter((entry) => passed.some(({ name, attempts }) => name === entry.test && attempts === 1))
  return {
    passed: passed.length,
    failed: failed.length - quarantined.length + results.brokenFiles.length + results.errors.length + expired.length,
    skipped: results.tests.filter(({ state }) => state === 'skipped').length + quarantined.length,
    remarks: [
      ...list(
        `${flaky.length} flaky: passed, but not at once`,
        flaky.map(({ file, name, attempts }) => `${file}: ${name} (attempt ${attempts})`),
      ),
      ...list(
        `${quarantined.length} in quarantine: failed, as is known`,
        quarantined.map((test) => {
          const entry = entryOf(test)
          return `${test.file}: ${test.name} (until ${entry?.until}: ${entry?.reason}, ${entry?.tracker})`
        }),
      ),
      ...list(
        'Quarantine entries that have expired; mend the test, or decide again',
        expired.map(({ test, until, tracker }) => `${test} (${until}, ${tracker})`),
      ),
      ...list(
        'Passed in quarantine: the entry can go if this is not luck',
        healed.map(({ test }) => test),
      ),
      ...list(
        'Files that could not be run',
        results.brokenFiles.map(({ file, error }) => `${file}: ${error.split('\n', 1)[0]}`),
      ),
      ...list(
        'Errors outside any test',
        results.errors.map((error) => error.split('\n', 1)[0] ?? ''),
      ),
    ],
  }
}

function list(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : [[`${title}:`, ...lines.map((line) => `  ${line}`)].join('\n')]
}
