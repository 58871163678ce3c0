import { rename, writeFile } from 'node:fs/promises'
import type { SerializedError } from 'vitest'
import type { Reporter, TestModule } from 'vitest/node'
import { RESULTS_VARIABLE, type TestResult, type TestResults } from './results.ts'

/**
 * Tells `bootwright test` what became of each test, with what Vitest's own reports leave out: whether it needed more than
 * one attempt. Vitest loads it by its path.
 */
export default class ResultsReporter implements Reporter {
  async onTestRunEnd(modules: readonly TestModule[], errors: readonly SerializedError[]): Promise<void> {
    const path = process.env[RESULTS_VARIABLE]
    if (path === undefined || path === '') return
    const results: TestResults = {
      tests: modules.flatMap((module) =>
        [...module.children.allTests()].map((test): TestResult => {
          const { state, errors: failures = [] } = test.result()
          const diagnostic = test.diagnostic()
          return {
            file: module.relativeModuleId,
            name: test.fullName,
            state: state === 'pending' ? 'failed' : state,
            attempts: (diagnostic?.retryCount ?? 0) + 1,
            firstError: failures[0]?.message.split('\n', 1)[0],
          }
        }),
      ),
      // A file that cannot be loaded has no tests that could fail.
      brokenFiles: modules
        .filter((module) => module.errors().length > 0)
        .map((module) => ({ file: module.relativeModuleId, error: module.errors()[0]?.message ?? '' })),
      errors: errors.map(({ message }) => message),
    }
    await writeFile(`${path}.new`, JSON.stringify(results))
    await rename(`${path}.new`, path)
  }
}
