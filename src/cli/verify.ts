import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Command } from 'commander'
import { featureChecks, GROUPS } from '../features/index.ts'
import { firmwareNamed, reapStateDirectories } from '../machine/index.ts'
import { junitXml, type RunReport, runHolds, type StepReport, terminalSummary } from '../report/index.ts'
import { describe } from '../system/index.ts'
import { Cache, cacheDirectory } from '../toolchain/index.ts'
import { machineStates, makeRunDirectory, verify } from '../verify/index.ts'
import { buildImage, checkNames, cloudOption, removedIfNothingRan } from './image-steps.ts'
import { FIRMWARE, OUT } from './paths.ts'
import { Progress } from './progress.ts'
import {
  chooseAccelerator,
  prepareToolchain,
  type ToolchainOptions,
  withToolchainOptions,
} from './toolchain-options.ts'

interface VerifyOptions extends ToolchainOptions {
  readonly cloud: string
  readonly firmware: string
  readonly sign: boolean
  readonly json: boolean
  readonly junit?: string
  readonly keep: boolean
  readonly features?: true | readonly string[]
}

export function verifyCommand(signal: AbortSignal): Command {
  return withToolchainOptions(new Command('verify'))
    .summary('build an image, predict it, boot it in a fake cloud, and check that all is as it should be')
    .argument('[image]', 'name of the image', 'cloud')
    .option('--cloud <name>', 'the cloud to boot in, or none', 'aws')
    .option('--firmware <name>', 'the firmware variant', 'plain')
    .option('--no-sign', 'leave the image unsigned, whatever the firmware wants')
    .option(
      '--features [groups]',
      `check the features of systemd 261 and 262 as well: ${GROUPS.join(', ')}`,
      commaSeparated,
    )
    .option('--json', 'print the report as JSON', false)
    .option('--junit <file>', 'write the report as JUnit XML too')
    .option('--keep', "keep the machine's disk, variable store and TPM state", false)
    .action(async (image: string, options: VerifyOptions) => {
      const report = await verifyImage(image, options, signal)
      if (options.junit !== undefined) {
        await mkdir(dirname(options.junit), { recursive: true })
        await writeFile(options.junit, junitXml(report))
      }
      if (options.json) process.stdout.write(`${JSON.stringify(report)}\n`)
      else process.stdout.write(`${terminalSummary(report, { isColored: process.stdout.hasColors?.() === true })}\n`)
      if (!runHolds(report)) process.exitCode = 1
    })
}

async function verifyImage(image: string, options: VerifyOptions, signal: AbortSignal): Promise<RunReport> {
  const cloud = cloudOption(options.cloud)
  const further =
    options.features === undefined ? [] : featureChecks(options.features === true ? GROUPS : options.features)
  await checkNames({ images: [image], cloud, firmware: options.firmware })
  using progress = new Progress()
  const steps: StepReport[] = []
  const timed = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
    const begun = performance.now()
    const result = await work()
    steps.push({ name, durationMs: Math.round(performance.now() - begun) })
    return result
  }
  const toolchain = await timed('set up', () => prepareToolchain(options, progress, signal))
  const firmware = await firmwareNamed(FIRMWARE, options.firmware, toolchain, new Cache())
  const built = await timed('build', () =>
    buildImage(image, toolchain, progress, signal, { snapshot: options.snapshot, firmware, sign: options.sign }),
  )
  const accelerator = await chooseAccelerator(toolchain, firmware.needsSmm, signal)
  const stateParent = machineStates(cacheDirectory())
  await reapStateDirectories(stateParent)
  const runDirectory = await makeRunDirectory(join(OUT, 'runs'), new Date())
  await using _tidy = removedIfNothingRan(runDirectory.path)
  const report = await verify({
    image: built,
    firmware,
    cloud,
    toolchain,
    cache: new Cache(),
    accelerator,
    runDirectory,
    stateParent,
    command: repeat(image, options),
    steps,
    further,
    keep: options.keep,
    signal,
    onProgress: progress.update,
  })
  progress.finish()
  return report
}

function repeat(image: string, options: VerifyOptions): string {
  const argv = ['./bootwright', 'verify', image, '--cloud', options.cloud, '--firmware', options.firmware]
  if (!options.sign) argv.push('--no-sign')
  if (options.features === true) argv.push('--features')
  else if (options.features !== undefined) argv.push(`--features=${options.features.join(',')}`)
  if (options.toolchain !== 'managed') argv.push('--toolchain', options.toolchain)
  if (options.snapshot !== undefined) argv.push('--snapshot', options.snapshot)
  return describe({ argv })
}

function commaSeparated(value: string): string[] {
  return value.split(',').map((name) => name.trim())
}
