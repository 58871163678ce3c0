import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { runUnchecked } from '../system/index.ts'
import { runUpstreamTest } from './run-upstream-test.ts'

let directory: string

const SCRIPTS = {
  'TEST-1-GOOD': 'set -x; : skipping in a trace; . ./helper.sh; exit 0',
  'TEST-2-PART': 'echo "No swtpm, skipping the rest"; exit 0',
  'TEST-7-TRACED': 'set -x; cat noise; echo "No swtpm, skipping the rest"; exit 0',
  'TEST-8-NOISE': 'set -x; cat noise; echo "all of it"; exit 0',
  'TEST-3-NONE': 'echo "dummy netdev is missing, skipping"; exit 77',
  'TEST-4-QUIET': 'echo "no KVM"; exit 77',
  'TEST-5-BAD': 'set -x; test 1 = 2 || exit 3',
  'TEST-6-VARIABLE': 'test "$FAULTS" = "2 6 2" || exit 1',
  'TEST-9-LONG': 'exec sleep 60',
  helper: ':',
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bootwright-upstream-'))
  for (const [name, script] of Object.entries(SCRIPTS)) await writeFile(join(directory, `${name}.sh`), script)
})
afterAll(() => rm(directory, { recursive: true, force: true }))

/** This host as the guest. */
const host = {
  async run(argv: readonly string[]) {
    return host.runUnchecked(argv)
  },
  async runUnchecked(argv: readonly string[], { signal }: { signal?: AbortSignal } = {}) {
    const { exitCode, stdout, stderr } = await runUnchecked({ argv }, { signal })
    return { exitCode, stdout, stderr }
  },
} as unknown as Parameters<typeof runUpstreamTest>[0]

const judged = async (name: string, knownFailures?: Parameters<typeof runUpstreamTest>[2]['knownFailures']) => {
  const options = { directory, timeoutMs: 60_000, ...(knownFailures === undefined ? {} : { knownFailures }) }
  return runUpstreamTest(host, name, options)
}

it('passes what ends well, whatever words are in its trace', async () => {
  expect(await judged('TEST-1-GOOD')).toMatchObject({ status: 'passed', evidence: [] })
})

it.for([
  ['TEST-2-PART', 'it skipped something: No swtpm, skipping the rest'],
  ['TEST-3-NONE', 'it skipped itself: dummy netdev is missing, skipping'],
  ['TEST-4-QUIET', 'it skipped itself: no KVM'],
] as const)('is no pass when it skips: %s', async ([name, reason]) => {
  expect(await judged(name)).toMatchObject({ status: 'unsupported', evidence: [reason] })
})

it('fails with its status and the end of what it printed', async () => {
  const { status, evidence, log } = await judged('TEST-5-BAD')
  expect(status).toBe('failed')
  expect(evidence[0]).toBe('it ended with status 3')
  expect(evidence.at(-1)).toBe('+ exit 3')
  expect(log).toContain('test 1 = 2')
})

it('tells its own words from those of a program, where it traces its commands', async () => {
  await writeFile(join(directory, 'noise'), "Skipping file '/usr/lib/x', suffix is not '.d'.\n")
  expect(await judged('TEST-7-TRACED')).toMatchObject({
    status: 'unsupported',
    evidence: ['it skipped something: No swtpm, skipping the rest'],
  })
  expect(await judged('TEST-8-NOISE')).toMatchObject({ status: 'passed' })
})

it('gives the script its environment', async () => {
  const judge = (environment: Record<string, string>) =>
    runUpstreamTest(host, 'TEST-6-VARIABLE', { directory, timeoutMs: 60_000, environment })
  expect((await judge({ FAULTS: '2 6 2' })).status).toBe('passed')
  expect((await judge({})).status).toBe('failed')
})

it('tells a failure that is known, of that test only', async () => {
  const known = [{ test: 'TEST-5-BAD', reason: 'one is not two', link: 'issue 1' }]
  expect(await judged('TEST-5-BAD', known)).toMatchObject({
    status: 'unsupported',
    evidence: ['known to fail: one is not two (issue 1)'],
  })
  expect(await judged('TEST-1-GOOD', [{ ...known[0], test: 'TEST-1-GOOD' } as never])).toMatchObject({
    status: 'passed',
  })
  expect((await judged('TEST-5-BAD', [{ ...known[0], test: 'TEST-5' } as never])).status).toBe('failed')
})

it('ends when it is told to', async () => {
  const ending = new AbortController()
  const options = { directory, timeoutMs: 60_000, signal: ending.signal }
  const running = runUpstreamTest(host, 'TEST-9-LONG', options)
  ending.abort(new Error('enough'))
  await expect(running).rejects.toThrow('enough')
}, 10_000)
