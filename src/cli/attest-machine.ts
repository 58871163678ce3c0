import { randomBytes } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type AttestationReport,
  attestationReport,
  evidenceFiles,
  gatherEvidence,
  judgeEvidence,
  knownEndorsement,
} from '../attest/index.ts'
import { firmwareNamed, machine, reapStateDirectories } from '../machine/index.ts'
import { PCR_COUNT, predictPcrs } from '../measure/index.ts'
import { calibrate, importedUserData, openScene, predictMachine } from '../scene/index.ts'
import { Cache, cacheDirectory } from '../toolchain/index.ts'
import type { PcrBank } from '../tpm/index.ts'
import { machineStates, makeRunDirectory, verifiedMachine } from '../verify/index.ts'
import { buildImage, checkNames, cloudOption, removedIfNothingRan } from './image-steps.ts'
import { FIRMWARE, OUT } from './paths.ts'
import { Progress } from './progress.ts'
import { chooseAccelerator, prepareToolchain, type ToolchainOptions } from './toolchain-options.ts'

export interface AttestMachineOptions extends ToolchainOptions {
  readonly cloud: string
  readonly firmware: string
  readonly sign: boolean
  readonly bank: PcrBank
  readonly pcrs?: readonly number[]
  readonly nonce?: Buffer
}

/** Builds, predicts and boots an image as `verify` does, and has the machine prove how it booted. */
export async function attestMachine(
  name: string,
  options: AttestMachineOptions,
  signal: AbortSignal,
): Promise<AttestationReport> {
  const cloud = cloudOption(options.cloud)
  await checkNames({ images: [name], cloud, firmware: options.firmware })
  using progress = new Progress()
  const toolchain = await prepareToolchain(options, progress, signal)
  const cache = new Cache()
  const firmware = await firmwareNamed(FIRMWARE, options.firmware, toolchain, cache)
  const { snapshot, sign, bank } = options
  const image = await buildImage(name, toolchain, progress, signal, { snapshot, firmware, sign })
  const accelerator = await chooseAccelerator(toolchain, firmware.needsSmm, signal)
  const { spec, instance } = verifiedMachine({
    image,
    firmware,
    cloud,
    accelerator,
    spec: { tpm: { banks: [bank] } },
  })
  const stateParent = machineStates(cacheDirectory())
  await mkdir(stateParent, { recursive: true })
  await reapStateDirectories(stateParent)
  const runDirectory = await makeRunDirectory(join(OUT, 'runs'), new Date())
  await using _tidy = removedIfNothingRan(runDirectory.path)
  await using scene = await openScene({
    toolchain,
    directory: runDirectory.path,
    cloud: instance,
    macAddress: spec.macAddress,
    signal,
  })
  const context = { toolchain, network: scene.network, stateParent, name: runDirectory.id }
  progress.update('calibrate', '')
  const calibration = await calibrate(spec, context, cache, signal)
  progress.update('predict', '')
  const imported = await importedUserData(image, instance?.userData)
  const predicted = await predictMachine(spec, { toolchain, calibration, ...imported })
  progress.update('boot', '')
  await using running = await machine(spec, context).start({ signal })
  try {
    await running.booted({ signal })
    progress.update('attest', '')
    const nonce = options.nonce ?? randomBytes(16)
    const pcrs = options.pcrs ?? Array.from({ length: PCR_COUNT }, (_, pcr) => pcr)
    const evidence = await gatherEvidence(running, { nonce, bank, pcrs })
    for (const [file, content] of evidenceFiles(evidence)) await runDirectory.write(file, content)
    const checks = judgeEvidence(evidence, {
      nonce,
      endorsement: await knownEndorsement(toolchain, running.directory),
      events: predicted.events,
      pcrs: predictPcrs(predicted.events, [bank]),
    })
    const report = attestationReport(evidence, checks)
    await runDirectory.write('attestation.json', `${JSON.stringify(report, null, 2)}\n`)
    progress.finish()
    return report
  } finally {
    await runDirectory.collect(running.directory)
  }
}
