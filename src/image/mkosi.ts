import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { BootwrightError, type Command, describe, type RunResult, runUnchecked } from '../system/index.ts'
import type { Toolchain } from '../toolchain/index.ts'
import { type MkosiFailure, readFailure } from './mkosi-output.ts'
import { parseSummary, type Summary } from './summary.ts'

/** One run of mkosi for an image. Directories are absolute and exist. */
export interface MkosiBuild {
  /** `images/<name>`. */
  readonly definitionDirectory: string
  readonly version: string
  /** What the names of the output files begin with. */
  readonly output: string
  readonly outputDirectory: string
  readonly workspaceDirectory: string
  /** Where mkosi keeps installed packages and build results between runs; without it, it starts from scratch. */
  readonly incremental?: { readonly cacheDirectory: string; readonly buildDirectory: string }
}

export interface MkosiOptions {
  readonly signal?: AbortSignal | undefined
  /** Called with each line, without colours. */
  readonly onLine?: ((line: string) => void) | undefined
}

/** Lets mkosi make the image. Rejects with `BUILD_FAILED` naming the step that failed; mkosi has ended in any case. */
export async function buildWithMkosi(
  toolchain: Toolchain,
  build: MkosiBuild,
  options: MkosiOptions = {},
): Promise<void> {
  const { incremental } = build
  const command = toolchain.mkosi([
    ...definitionArguments(build.definitionDirectory, build.version),
    `--output=${build.output}`,
    `--output-directory=${build.outputDirectory}`,
    `--workspace-directory=${build.workspaceDirectory}`,
    ...(incremental === undefined
      ? ['--incremental=no']
      : [
          '--incremental=yes',
          `--cache-directory=${incremental.cacheDirectory}`,
          `--build-directory=${incremental.buildDirectory}`,
        ]),
    'build',
  ])
  const result = await runMkosi(command, options)
  if (result.exitCode !== 0) throw failed('mkosi failed', repeatable(toolchain, build), result)
}

/** What mkosi makes of the definition. Rejects with `BUILD_FAILED` and mkosi's own complaint when it is broken. */
export async function readSummary(
  toolchain: Toolchain,
  build: { readonly definitionDirectory: string; readonly version: string | undefined },
  options: MkosiOptions = {},
): Promise<Summary> {
  const args = [...definitionArguments(build.definitionDirectory, build.version), '--json', 'summary']
  const command = toolchain.mkosi(args)
  const result = await runMkosi(command, options)
  if (result.exitCode !== 0) throw failed('The image definition is broken', command, result)
  // mkosi only warns and goes on without the setting, which makes another image than the one that was asked for.
  const unknown = /^‣ (.*: Unknown setting .*)$/m.exec(result.stderr)?.[1]
  if (unknown !== undefined) {
    throw new BootwrightError('BUILD_FAILED', `The image definition is broken: ${unknown}`, {
      hint: `Correct or remove the setting; to see all of them: ${describe(command)}`,
    })
  }
  return parseSummary(result.stdout)
}

function definitionArguments(directory: string, version: string | undefined): string[] {
  return [`--directory=${directory}`, ...(version === undefined ? [] : [`--image-version=${version}`])]
}

/** The same build for a person to start by hand, as often as needed, away from the checkout and our cache. */
function repeatable(toolchain: Toolchain, build: MkosiBuild): Command {
  return toolchain.mkosi([
    ...definitionArguments(build.definitionDirectory, build.version),
    `--output=${build.output}`,
    `--output-directory=${join(tmpdir(), build.output)}`,
    '--force',
    'build',
  ])
}

async function runMkosi(command: Command, options: MkosiOptions): Promise<RunResult> {
  const { onLine } = options
  // Without us nobody would remove what it makes, so it must not outlive us.
  const argv = ['setpriv', '--pdeathsig', 'TERM', '--', ...command.argv]
  const result = await runUnchecked(
    { ...command, argv },
    { signal: options.signal, ...(onLine === undefined ? {} : { onLine: (line) => onLine(plain(line)) }) },
  )
  return { ...result, stderr: plain(result.stderr) }
}

function failed(what: string, command: Command, result: RunResult): BootwrightError {
  const failure = readFailure(result.stderr)
  return new BootwrightError('BUILD_FAILED', `${what}${explain(failure)}`, {
    hint: `To repeat it: ${environment(command)}${describe(command)}`,
    detail: { exitCode: result.exitCode, step: failure.step ?? '', complaint: failure.complaint },
  })
}

function explain({ step, complaint, tail }: MkosiFailure): string {
  const where = step === undefined ? '' : ` in the step "${step}"`
  return `${where}: ${complaint}${tail.length === 0 ? '' : `\n${tail.map((line) => `  ${line}`).join('\n')}`}`
}

function environment(command: Command): string {
  const words = Object.entries(command.env ?? {}).map(([name, value]) => `${name}=${describe({ argv: [value] })} `)
  return words.join('')
}

function plain(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: terminal colours begin with one
  return text.replace(/\u001b(?:\[[0-9;?]*[a-zA-Z]|\][^\u0007\u001b]*(?:\u0007|\u001b\\))/g, '')
}
