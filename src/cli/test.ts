import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { Command } from 'commander'
import { cloudNamed } from '../cloud/index.ts'
import { listImages } from '../image/index.ts'
import { BootwrightError, unknownName } from '../system/index.ts'
import {
  judge,
  makeRunId,
  parseJobs,
  projectFirmwares,
  REPORTER,
  RESULTS_VARIABLE,
  readQuarantine,
  SETTING_VARIABLES,
  type TestResults,
} from '../testing/index.ts'
import { buildImage, checkNames, cloudOption } from './image-steps.ts'
import { CHECKOUT, IMAGES, PROJECT } from './paths.ts'
import { Progress } from './progress.ts'
import { runTool } from './run-tool.ts'
import { prepareToolchain, type ToolchainOptions, withToolchainOptions } from './toolchain-options.ts'
import { wholeNumber } from './whole-number.ts'

interface TestOptions extends ToolchainOptions {
  readonly all: boolean
  readonly unit: boolean
  readonly shard?: string
  readonly image?: string
  readonly cloud?: string
  readonly firmware?: string
  readonly jobs: string
  readonly retries: number
  readonly keep: boolean
  readonly sit: boolean
  /** The program's own option: here it also pauses each test before its end. */
  readonly debug: boolean
}

interface Counts {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

/** Images that nothing but tests of `--all` boots. */
const ONLY_FOR_ALL: ReadonlySet<string> = new Set([
  'ab',
  'agents',
  'backport',
  'cloud-init',
  'cloud-init-imds',
  'live-update',
  'nvpcr',
  'upstream',
])
/** What `npm run check` is made of; each part counts as a test. */
const CHECKS = ['check:types', 'check:lint', 'check:layers', 'check:unused']

export function testCommand(signal: AbortSignal): Command {
  return withToolchainOptions(new Command('test'))
    .summary('set up, build the images, and run every check and test')
    .argument('[filter...]', 'only test files whose path contains one of these')
    .option('--unit', 'only what boots no machine', false)
    .option('--all', 'also what takes too long for every change', false)
    .option('--shard <i/n>', 'only the i-th of n parts of the test files')
    .option('--image <name>', 'the image of tests that take any')
    .option('--cloud <name>', 'the cloud of tests that take any, or none')
    .option('--firmware <name>', 'the firmware variant of tests that take any')
    .option('--jobs <number>', 'how many tests may have machines at once; auto: as memory and cores allow', 'auto')
    .option('--retries <number>', 'try a test that fails so many times more', wholeNumber('--retries', 0, 100), 0)
    .option('--keep', 'keep the evidence of tests that pass, too', false)
    .option('--sit', 'when a test fails, stay in its machine with a shell on this terminal', false)
    .addHelpText('after', '\n--debug also pauses each test before its machines end.')
    .action(async (filters: string[], _options: unknown, command: Command) => {
      const options = command.optsWithGlobals<TestOptions>()
      await checkOptions(options)
      // Of this project only: the checks, and the units.
      const isOwn = PROJECT.directory === CHECKOUT
      const counts: Counts[] = []
      {
        using progress = new Progress()
        const toolchain = await prepareToolchain(options, progress, signal)
        if (filters.length === 0 && isOwn && isFirstShard(options.shard)) counts.push(await runChecks(progress, signal))
        if (!options.unit) {
          // Any other image is built by the test that boots it.
          for (const image of options.image === undefined ? await imagesOf(options) : [options.image])
            await buildImage(image, toolchain, progress, signal, { snapshot: options.snapshot })
        }
      }
      counts.push(await runVitest(filters, options, signal))
      const total = (key: keyof Counts) => counts.reduce((sum, count) => sum + count[key], 0)
      const skipped = total('skipped') > 0 ? `, ${total('skipped')} skipped` : ''
      process.stdout.write(`${total('passed')} passed, ${total('failed')} failed${skipped}\n`)
      if (total('failed') > 0) process.exitCode = 1
    })
}

/** Those of `--all` alone take longer to build than what else the run would need. */
async function imagesOf({ all }: TestOptions): Promise<string[]> {
  const images = await listImages(IMAGES)
  return all ? images : images.filter((image) => !ONLY_FOR_ALL.has(image))
}

/** Everything that can be wrong is told before anything is set up. */
async function checkOptions(options: TestOptions): Promise<void> {
  const { image, firmware, shard } = options
  const cloud = cloudOption(options.cloud)
  if (image !== undefined) await checkNames({ images: [image] })
  if (cloud !== undefined) cloudNamed(cloud)
  if (firmware !== undefined) {
    const names = await projectFirmwares(PROJECT)
    if (!names.includes(firmware)) throw unknownName('firmware', firmware, names)
  }
  parseJobs(options.jobs)
  if (options.sit && process.stdin.isTTY !== true) {
    throw new BootwrightError('INVALID_ARGUMENT', 'Expected a terminal to stay on for --sit, found none', {
      hint: 'Leave it out where nobody watches; the evidence of what failed is kept in any case.',
    })
  }
  await readQuarantine(PROJECT.quarantineFile)
  const [, index = '0', count = '0'] = /^(\d+)\/(\d+)$/.exec(shard ?? '1/1') ?? []
  if (Number(index) < 1 || Number(index) > Number(count)) {
    throw new BootwrightError('INVALID_ARGUMENT', `Expected --shard i/n with i from 1 to n, found "${shard}"`)
  }
}

/** `--debug` shows the stacks of errors as well, which is of use without a terminal, too. */
function isPaused({ debug }: TestOptions): boolean {
  return debug && process.stdin.isTTY === true
}

function isFirstShard(shard: string | undefined): boolean {
  return shard === undefined || shard.startsWith('1/')
}

async function runChecks(progress: Progress, signal: AbortSignal): Promise<Counts> {
  const failures: string[] = []
  for (const name of CHECKS) {
    progress.update(name)
    const argv = ['run', '--silent', name]
    const { exitCode, output } = await runTool('npm', argv, { cwd: CHECKOUT, signal, output: 'kept' })
    progress.finish()
    if (exitCode !== 0) failures.push(`${name} failed:\n${output}`)
  }
  for (const failure of failures) process.stdout.write(`${failure}\n`)
  return { passed: CHECKS.length - failures.length, failed: failures.length, skipped: 0 }
}

async function runVitest(filters: readonly string[], options: TestOptions, signal: AbortSignal): Promise<Counts> {
  const directory = await mkdtemp(join(tmpdir(), 'bootwright-test-'))
  try {
    const path = join(directory, 'results.json')
    const isWatched = options.sit || isPaused(options)
    const argv = [
      vitestPath(),
      'run',
      ...(options.unit ? ['--project=unit'] : []),
      ...(options.shard === undefined ? [] : [`--shard=${options.shard}`]),
      ...(options.retries === 0 ? [] : [`--retry=${options.retries}`]),
      // One person can only watch one machine.
      ...(isWatched ? ['--no-file-parallelism'] : workers(options)),
      // A filter or a part may leave nothing: that is said by the counts.
      ...(options.shard === undefined ? [] : ['--passWithNoTests']),
      '--reporter=default',
      `--reporter=${REPORTER}`,
      ...filters,
    ]
    const { exitCode } = await runTool(process.execPath, argv, {
      cwd: PROJECT.directory,
      signal,
      env: { ...settings(options), [RESULTS_VARIABLE]: path, BOOTWRIGHT_TEST_ALL: options.all ? '1' : '' },
      output: isWatched ? 'copied' : 'shown',
    })
    const text = await readFile(path, 'utf8').catch(() => undefined)
    if (text === undefined)
      throw new BootwrightError('TOOL_FAILED', `Vitest ended with status ${exitCode} and left no report`)
    const results = JSON.parse(text) as TestResults
    const { remarks, ...counts } = judge(results, await readQuarantine(PROJECT.quarantineFile), new Date())
    for (const remark of remarks) process.stdout.write(`${remark}\n`)
    // Whatever Vitest holds against the run that is not about a test: it found no files, for example.
    const isUnexplained =
      exitCode !== 0 && results.tests.every(({ state }) => state !== 'failed') && counts.failed === 0
    return isUnexplained ? { ...counts, failed: 1 } : counts
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

/** As many files at once as may have machines. Our own units, which have none, run as the configuration says. */
function workers({ jobs: text }: TestOptions): string[] {
  const jobs = parseJobs(text)
  return jobs === undefined || PROJECT.directory === CHECKOUT ? [] : [`--maxWorkers=${jobs}`]
}

/** The Vitest of the project: its tests must meet the one that runs them. */
function vitestPath(): string {
  try {
    const require = createRequire(join(PROJECT.directory, 'package.json'))
    return join(dirname(require.resolve('vitest/package.json')), 'vitest.mjs')
  } catch (cause) {
    throw new BootwrightError('TOOL_MISSING', `Cannot find Vitest from ${PROJECT.directory}`, {
      cause,
      hint: 'Install it there: npm install --save-dev vitest.',
    })
  }
}

/** What the tests are to know, in the words of their settings. */
function settings(options: TestOptions): Record<string, string> {
  const flag = (isOn: boolean) => (isOn ? '1' : '')
  return {
    BOOTWRIGHT_PROJECT: PROJECT.directory,
    [SETTING_VARIABLES.runId]: makeRunId(new Date()),
    [SETTING_VARIABLES.image]: options.image ?? '',
    [SETTING_VARIABLES.cloud]: cloudOption(options.cloud) ?? '',
    [SETTING_VARIABLES.firmware]: options.firmware ?? '',
    [SETTING_VARIABLES.jobs]: options.sit || isPaused(options) ? '1' : options.jobs,
    [SETTING_VARIABLES.keep]: flag(options.keep),
    [SETTING_VARIABLES.sit]: flag(options.sit),
    [SETTING_VARIABLES.debug]: flag(isPaused(options)),
  }
}
