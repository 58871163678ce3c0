import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { Command } from 'commander'
import { type BuiltImage, type DiskImage, isDiskPath, openDiskImage } from '../image/index.ts'
import { firmwareNamed, PrivateNetwork } from '../machine/index.ts'
import { HASH_ALGORITHMS, type HashAlgorithm, parseHashAlgorithm } from '../measure/index.ts'
import { calibrate, importedUserData, predictMachine } from '../scene/index.ts'
import { BootwrightError } from '../system/index.ts'
import { Cache, cacheDirectory } from '../toolchain/index.ts'
import { machineStates, verifiedMachine } from '../verify/index.ts'
import { buildImage, checkNames, cloudOption } from './image-steps.ts'
import { FIRMWARE } from './paths.ts'
import { againstText, predictedAgainst } from './predict-against.ts'
import {
  checkPredictOutput,
  type PredictOutputOptions,
  parsePcrs,
  parsePredictFormat,
  writePrediction,
} from './predict-output.ts'
import { Progress } from './progress.ts'
import {
  chooseAccelerator,
  prepareToolchain,
  type ToolchainOptions,
  withToolchainOptions,
} from './toolchain-options.ts'

interface PredictOptions extends ToolchainOptions, PredictOutputOptions {
  readonly cloud: string
  readonly firmware: string
  readonly sign: boolean
  readonly bank: readonly HashAlgorithm[]
  readonly handsOff: boolean
  readonly cmdline?: string
  readonly json: boolean
  readonly against?: string
  readonly publicKey?: string
}

export function predictCommand(signal: AbortSignal): Command {
  return withToolchainOptions(new Command('predict'))
    .summary('predict every PCR of an image before it boots; exit status 1 when something cannot be known')
    .argument('[image]', 'name of an image, or path of a raw disk (./disk.raw)', 'cloud')
    .option('--cloud <name>', 'the cloud to boot in, or none', 'aws')
    .option('--firmware <name>', 'the firmware variant', 'plain')
    .option('--no-sign', 'leave the image unsigned, whatever the firmware wants')
    .option('--bank <name>', 'a PCR bank; may be repeated; all without', addBank, [])
    .option('--cmdline <words>', 'words added to the kernel command line')
    .option('--hands-off', 'of a machine without the guest channel of Bootwright', false)
    .option('--format <name>', 'text, json, cel, pcrlock, keylime or pcrsig', parsePredictFormat, 'text')
    .option('--json', 'the same as --format json', false)
    .option('--pcrs <list>', 'only these: 0-7,11', parsePcrs)
    .option('--output <path>', 'a file, or the directory of --format pcrlock; standard output without')
    .option('--private-key <file>', 'the key that --format pcrsig signs with')
    .option('--policyref <text>', 'the policy reference that is signed along')
    .option(
      '--against <path>',
      'hold signed policies (.pcrsig, or a UKI with one) or a pcrlock.d against the prediction',
    )
    .option('--public-key <file>', 'the key that those policies are to be signed with')
    .action(async (image: string, options: PredictOptions) => {
      const format = options.json ? 'json' : options.format
      if (options.publicKey !== undefined && options.against === undefined) {
        throw new BootwrightError('INVALID_ARGUMENT', 'Expected --public-key FILE with --against PATH, and only there')
      }
      checkPredictOutput({ ...options, format })
      if (!(await predict(image, { ...options, format }, signal))) process.exitCode = 1
    })
}

function addBank(name: string, banks: readonly HashAlgorithm[]): HashAlgorithm[] {
  return [...new Set([...banks, parseHashAlgorithm(name)])]
}

async function predict(name: string, options: PredictOptions, signal: AbortSignal): Promise<boolean> {
  using progress = new Progress()
  const cloud = cloudOption(options.cloud)
  await checkNames({ images: isDiskPath(name) ? [] : [name], cloud, firmware: options.firmware })
  // Before anything is set up, as for names.
  const disk = isDiskPath(name) ? await openDiskImage(name, signal) : undefined
  const toolchain = await prepareToolchain(options, progress, signal)
  const firmware = await firmwareNamed(FIRMWARE, options.firmware, toolchain, new Cache())
  const image: BuiltImage | DiskImage =
    disk ??
    (await buildImage(name, toolchain, progress, signal, {
      snapshot: options.snapshot,
      firmware,
      sign: options.sign,
    }))
  const banks = HASH_ALGORITHMS.filter((bank) => options.bank.length === 0 || options.bank.includes(bank))
  const { spec, instance } = verifiedMachine({
    image,
    firmware,
    cloud,
    accelerator: await chooseAccelerator(toolchain, firmware.needsSmm, signal),
    spec: {
      tpm: { banks },
      channel: !options.handsOff,
      kernelCommandLineExtra: options.cmdline === undefined ? [] : [options.cmdline],
    },
  })
  const stateParent = machineStates(cacheDirectory())
  await mkdir(stateParent, { recursive: true })
  const directory = await mkdtemp(join(tmpdir(), 'bootwright-predict-'))
  try {
    progress.update('calibrate', '')
    await using network = await PrivateNetwork.open(toolchain, {
      directory,
      addresses: [],
      names: {},
      hosts: [],
      signal,
    })
    const context = { toolchain, network, stateParent, name: basename(directory) }
    const calibration = await calibrate(spec, context, new Cache(), signal)
    progress.update('predict', '')
    // Of a disk alone nobody knows what it does with user data: its machine is given none.
    const imported = 'artifacts' in image ? await importedUserData(image, instance?.userData) : {}
    const predicted = await predictMachine(spec, { toolchain, calibration, ...imported })
    progress.finish()
    const { version, identity } = image
    if (options.against !== undefined) {
      const against = await predictedAgainst(predicted.events, banks, { ...options, against: options.against })
      process.stdout.write(
        options.format === 'json' ? `${JSON.stringify({ schema: 1, ...against })}\n` : againstText(against),
      )
      return against.isHeld
    }
    const shown = { image: { name, version, identity }, firmware: options.firmware, cloud, banks, ...predicted }
    return await writePrediction(shown, options)
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}
