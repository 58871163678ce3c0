import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { BootwrightError, type Command, describe, type RunResult, runUnchecked } from '../system/index.ts'
import { isFetchFailure, packageSourceError, type Toolchain } from '../toolchain/index.ts'
import { type MkosiFailure, readFailure } from './mkosi-output.ts'
import { parseSummary, type Summary } from './summary.ts'

/** One run of mkosi for an image. Directories are absolute and exist. */
export interface MkosiBuild {
  /** `images/<name>`. */
  readonly definitionDirectory: string
  /** Goes before what the toolchain has for the same place. */
  readonly sandboxTree?: string | undefined
  /** More files for the image. */
  readonly extraTrees?: readonly string[]
  /** More configuration. */
  readonly includes?: readonly string[]
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
  const args = [
    ...definitionArguments(build.definitionDirectory, build.version),
    ...treeArguments(build),
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
  ]
  // A mkosi that has to be killed leaves its temporary files: where the workspace is removed, they are too.
  const command = toolchain.mkosi(args, { env: { TMPDIR: build.workspaceDirectory } })
  const result = await runMkosi(command, options)
  if (result.exitCode !== 0) {
    const failure = readFailure(result.stderr)
    throw (
      knownFailure(build, failure, result.stderr) ??
      failed('mkosi failed', repeatable(toolchain, build), failure, result)
    )
  }
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
  const broken = `The definition of image ${basename(build.definitionDirectory)} is broken`
  // There are no steps yet: what mkosi said before its complaint are warnings.
  if (result.exitCode !== 0) throw failed(broken, command, { ...readFailure(result.stderr), step: undefined }, result)
  // mkosi only warns and goes on without the setting, which makes another image than the one that was asked for.
  const unknown = /^‣ (.*: Unknown setting .*)$/m.exec(result.stderr)?.[1]
  if (unknown !== undefined) {
    throw new BootwrightError('BUILD_FAILED', `${broken}: ${unknown}`, {
      hint: `Correct or remove the setting; to see all of them: ${describe(command)}`,
    })
  }
  return parseSummary(result.stdout)
}

function definitionArguments(directory: string, version: string | undefined): string[] {
  return [`--directory=${directory}`, ...(version === undefined ? [] : [`--image-version=${version}`])]
}

function treeArguments({ sandboxTree, extraTrees = [], includes = [] }: MkosiBuild): string[] {
  return [
    ...(sandboxTree === undefined ? [] : [`--sandbox-tree=${sandboxTree}`]),
    ...extraTrees.map((tree) => `--extra-tree=${tree}`),
    ...includes.map((path) => `--include=${path}`),
  ]
}

/** The same build for a person to start by hand, as often as needed, away from the checkout and our cache. */
function repeatable(toolchain: Toolchain, build: MkosiBuild): Command {
  return toolchain.mkosi([
    ...definitionArguments(build.definitionDirectory, build.version),
    ...treeArguments(build),
    `--output=${build.output}`,
    `--output-directory=${join(tmpdir(), build.output)}`,
    '--force',
    'build',
  ])
}

async function runMkosi(command: Command, options: MkosiOptions): Promise<RunResult> {
  const { onLine } = options
  // Without us nobody would remove what it makes, so neither it nor a script that it runs must outlive us.
  const result = await runUnchecked(command, {
    withDescendants: true,
    signal: options.signal,
    ...(onLine === undefined ? {} : { onLine: (line) => onLine(plain(line)) }),
  })
  return { ...result, stderr: plain(result.stderr) }
}

/** What has a cause that can be told without mkosi's words: a full disk, a mirror, packages that do not exist. */
function knownFailure(build: MkosiBuild, failure: MkosiFailure, output: string): BootwrightError | undefined {
  const name = basename(build.definitionDirectory)
  if (/No space left on device|Disk quota exceeded/.test([failure.complaint, ...failure.tail].join('\n'))) {
    return new BootwrightError('NO_SPACE', `No space is left for image ${name}${explain(failure)}`, {
      hint: `Free some space for ${build.outputDirectory} and ${build.workspaceDirectory}, then build it again.`,
    })
  }
  const unknown = [...output.matchAll(/^E: Unable to locate package (\S+)$/gm)].map(([, missing]) => missing)
  if (unknown.length > 0) {
    return new BootwrightError(
      'BUILD_FAILED',
      `Image ${name} asks for packages that the archive does not have: ${unknown.join(', ')}`,
      { hint: `Correct Packages= in the definition ${build.definitionDirectory}, or in what it includes.` },
    )
  }
  const isFetching = /^"?apt-get /.test(failure.complaint) && isFetchFailure(output)
  return isFetching ? packageSourceError(`the packages of image ${name}`, output, { isSandboxed: true }) : undefined
}

function failed(what: string, command: Command, failure: MkosiFailure, result: RunResult): BootwrightError {
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
