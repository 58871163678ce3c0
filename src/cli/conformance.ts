import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Command } from 'commander'
import { conformance, StandIns } from '../conformance/index.ts'
import { guestToolsProgram } from '../guest/index.ts'
import { firmwareNamed, reapStateDirectories } from '../machine/index.ts'
import { junitXml, type RunReport, runHolds, terminalSummary } from '../report/index.ts'
import { describe, unknownName } from '../system/index.ts'
import { Cache, cacheDirectory } from '../toolchain/index.ts'
import { machineStates, makeRunDirectory } from '../verify/index.ts'
import { buildImage, checkNames, removedIfNothingRan } from './image-steps.ts'
import { FIRMWARE, OUT } from './paths.ts'
import { Progress } from './progress.ts'
import {
  chooseAccelerator,
  prepareToolchain,
  type ToolchainOptions,
  withToolchainOptions,
} from './toolchain-options.ts'

/** Those that the guest tools have to pass, and that need no more than a machine. */
const USUAL = ['TEST-70-TPM2.measure', 'TEST-74-AUX-UTILS.imds']
const PROGRAMS = ['distribution', 'guest-tools'] as const

interface ConformanceCommandOptions extends ToolchainOptions {
  readonly image: string
  readonly with: (typeof PROGRAMS)[number]
  readonly json: boolean
  readonly junit?: string
}

export function conformanceCommand(signal: AbortSignal): Command {
  return withToolchainOptions(new Command('conformance'))
    .summary("run systemd's own integration tests, unmodified, in a machine each")
    .argument('[test...]', `as systemd names them: TEST-07-PID1.reload-count; ${USUAL.join(', ')} without`)
    .option('--image <name>', "an image with the distribution's package systemd-tests", 'upstream')
    .option('--with <programs>', `${PROGRAMS.join(' or ')}: whose programs run`, parsePrograms, 'distribution')
    .option('--json', 'print the report as JSON', false)
    .option('--junit <file>', 'write the report as JUnit XML too')
    .action(async (tests: string[], options: ConformanceCommandOptions) => {
      const report = await runConformance(tests.length === 0 ? USUAL : tests, options, signal)
      if (options.junit !== undefined) {
        await mkdir(dirname(options.junit), { recursive: true })
        await writeFile(options.junit, junitXml(report))
      }
      if (options.json) process.stdout.write(`${JSON.stringify(report)}\n`)
      else process.stdout.write(`${terminalSummary(report, { isColored: process.stdout.hasColors?.() === true })}\n`)
      if (!runHolds(report)) process.exitCode = 1
    })
}

function parsePrograms(name: string): ConformanceCommandOptions['with'] {
  const found = PROGRAMS.find((one) => one === name)
  if (found === undefined) throw unknownName('kind of programs', name, PROGRAMS)
  return found
}

async function runConformance(
  tests: readonly string[],
  options: ConformanceCommandOptions,
  signal: AbortSignal,
): Promise<RunReport> {
  await checkNames({ images: [options.image] })
  using progress = new Progress()
  const toolchain = await prepareToolchain(options, progress, signal)
  const cache = new Cache()
  const firmware = await firmwareNamed(FIRMWARE, 'plain', toolchain, cache)
  const image = await buildImage(options.image, toolchain, progress, signal, { snapshot: options.snapshot })
  progress.update('guest tools', '')
  const standIns =
    options.with === 'guest-tools' ? await StandIns.of(await guestToolsProgram(cache, { signal })) : undefined
  const stateParent = machineStates(cacheDirectory())
  await reapStateDirectories(stateParent)
  const runDirectory = await makeRunDirectory(join(OUT, 'runs'), new Date())
  await using _tidy = removedIfNothingRan(runDirectory.path)
  const report = await conformance({
    image,
    firmware,
    accelerator: await chooseAccelerator(toolchain, firmware.needsSmm, signal),
    toolchain,
    cache,
    tests,
    standIns,
    runDirectory,
    stateParent,
    command: repeat(tests, options),
    signal,
    onProgress: progress.update,
  })
  progress.finish()
  return report
}

function repeat(tests: readonly string[], options: ConformanceCommandOptions): string {
  const argv = ['./bootwright', 'conformance', ...tests, '--image', options.image, '--with', options.with]
  if (options.toolchain !== 'managed') argv.push('--toolchain', options.toolchain)
  if (options.snapshot !== undefined) argv.push('--snapshot', options.snapshot)
  return describe({ argv })
}
