import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Command } from 'commander'
import { listImages } from '../image/index.ts'
import { BootwrightError } from '../system/index.ts'
import { buildImage } from './image-steps.ts'
import { CHECKOUT, IMAGES } from './paths.ts'
import { Progress } from './progress.ts'
import { prepareToolchain, type ToolchainOptions, withToolchainOptions } from './toolchain-options.ts'

interface TestOptions extends ToolchainOptions {
  readonly all: boolean
  readonly unit: boolean
}

interface Counts {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

/** What `npm run check` is made of; each part counts as a test. */
const CHECKS = ['check:types', 'check:lint', 'check:layers', 'check:unused']

export function testCommand(signal: AbortSignal): Command {
  return withToolchainOptions(new Command('test'))
    .summary('set up, build the images, and run every check and test')
    .argument('[filter...]', 'only test files whose path contains one of these')
    .option('--unit', 'only what boots no machine', false)
    .option('--all', 'also what takes too long for every change', false)
    .action(async (filters: string[], options: TestOptions) => {
      const counts: Counts[] = []
      {
        using progress = new Progress()
        const toolchain = await prepareToolchain(options, progress, signal)
        if (filters.length === 0) counts.push(await runChecks(progress, signal))
        if (!options.unit) {
          for (const image of await listImages(IMAGES))
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

async function runChecks(progress: Progress, signal: AbortSignal): Promise<Counts> {
  const failures: string[] = []
  for (const name of CHECKS) {
    progress.update(name)
    const { exitCode, output } = await runTool('npm', ['run', '--silent', name], signal)
    progress.finish()
    if (exitCode !== 0) failures.push(`${name} failed:\n${output}`)
  }
  for (const failure of failures) process.stdout.write(`${failure}\n`)
  return { passed: CHECKS.length - failures.length, failed: failures.length, skipped: 0 }
}

async function runVitest(filters: readonly string[], options: TestOptions, signal: AbortSignal): Promise<Counts> {
  const directory = await mkdtemp(join(tmpdir(), 'bootwright-test-'))
  try {
    const report = join(directory, 'report.json')
    const projects = options.unit ? ['--project=unit'] : []
    const argv = [
      'run',
      ...projects,
      '--reporter=default',
      '--reporter=json',
      `--outputFile.json=${report}`,
      ...filters,
    ]
    const { exitCode } = await runTool(
      process.execPath,
      [join(CHECKOUT, 'node_modules/vitest/vitest.mjs'), ...argv],
      signal,
      {
        BOOTWRIGHT_TEST_ALL: options.all ? '1' : '',
      },
    )
    const text = await readFile(report, 'utf8').catch(() => undefined)
    if (text === undefined)
      throw new BootwrightError('TOOL_FAILED', `Vitest ended with status ${exitCode} and left no report`)
    const { numPassedTests, numFailedTests, numPendingTests, numTodoTests, numFailedTestSuites } = JSON.parse(
      text,
    ) as Record<string, number>
    const failed =
      (numFailedTests ?? 0) > 0 ? (numFailedTests ?? 0) : exitCode === 0 ? 0 : Math.max(1, numFailedTestSuites ?? 0)
    return { passed: numPassedTests ?? 0, failed, skipped: (numPendingTests ?? 0) + (numTodoTests ?? 0) }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

/** Runs a tool of ours in the checkout; Vitest shows what it does by itself, the output of others is returned. */
async function runTool(
  file: string,
  args: readonly string[],
  signal: AbortSignal,
  env?: Readonly<Record<string, string>>,
): Promise<{ exitCode: number; output: string }> {
  const child = spawn(file, args, {
    cwd: CHECKOUT,
    // Checks run with the Node that runs us, whatever the host's is.
    env: { ...process.env, ...env, PATH: `${join(process.execPath, '..')}:${process.env.PATH ?? ''}` },
    stdio: ['ignore', env === undefined ? 'pipe' : 'inherit', env === undefined ? 'pipe' : 'inherit'],
    signal,
    killSignal: 'SIGTERM',
  })
  let output = ''
  child.stdout?.on('data', (chunk: Buffer) => (output += chunk.toString()))
  child.stderr?.on('data', (chunk: Buffer) => (output += chunk.toString()))
  const [exitCode] = (await once(child, 'close').catch((error: unknown) => {
    signal.throwIfAborted()
    throw error
  })) as [number | null]
  return { exitCode: exitCode ?? 1, output }
}
