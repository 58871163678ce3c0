import { readFile } from 'node:fs/promises'
import { parseEfiVariableStore, parseSmbiosTable, peCertificates, type SmbiosIdentity } from '../formats/index.ts'
import { type MachineSpec, machineOemStrings } from '../machine/index.ts'
import {
  afterRefusal,
  authenticodeDigests,
  authorityEvents,
  type Calibration,
  HASH_ALGORITHMS,
  type HashAlgorithm,
  type ImageVerdict,
  judgeImage,
  type LoadedImage,
  machineSmbiosTable,
  type OvmfFirmware,
  type PredictedEvent,
  type PredictedRefusal,
  parseOvmf,
  predictBoot,
  predictFirmware,
  predictRefusal,
  secureBootState,
  selfEnrolledVariables,
  tcgProcessorId,
} from '../measure/index.ts'
import { BootwrightError, openDisk } from '../system/index.ts'
import type { Toolchain } from '../toolchain/index.ts'

export interface PredictionOptions {
  readonly toolchain: Pick<Toolchain, 'versions'>
  /** See {@link calibrate}. What needs it is unknown without it. */
  readonly calibration?: Calibration
  /** User data that the system imports from its cloud. */
  readonly userData?: Uint8Array
  /** The machine's own, for another boot than its first. */
  readonly variablesPath?: string
  /** Of the TPM when absent. */
  readonly banks?: readonly HashAlgorithm[]
}

/** What a machine must measure, from its first instruction until it is up. */
export interface MachinePrediction {
  /** In the order of each PCR. */
  readonly events: readonly PredictedEvent[]
  /** What the firmware starts, and what that starts. */
  readonly started: readonly string[]
  /** That of the kernel, as far as it is known. */
  readonly commandLine: string | undefined
  /** The boot ends there. What was to come after it is not among the events. */
  readonly refusal: PredictedRefusal | undefined
}

/** Whether the kernel has it is in no file that is looked at. */
const IMA: PredictedEvent = {
  pcr: 10,
  type: 'word',
  by: 'kernel',
  what: 'boot aggregate of IMA',
  measured: {
    kind: 'unknown',
    why: 'the kernel may have IMA, which measures PCR 0 to 9 there, and what its policy says',
  },
  // Its records are in a log of its own.
  standsFor: 'anything',
}

/** QEMU gives the disk of the image the first free slot. */
const SYSTEM_DISK_SLOT = 1

/**
 * Predicts every measurement of a machine, offline: from its firmware and variable store, the disk of its image, and its
 * description. Nothing of a running machine is looked at, but for the calibration that is given.
 *
 * Rejects with `IMAGE_INCOMPLETE` or `MALFORMED_INPUT` for a disk that cannot be started from.
 */
export async function predictMachine(spec: MachineSpec, options: PredictionOptions): Promise<MachinePrediction> {
  const { toolchain, calibration, userData } = options
  const banks = options.banks ?? (spec.tpm === 'absent' ? [] : spec.tpm.banks)
  const firmware = parseOvmf(await readFile(spec.firmware.codePath))
  const stored = parseEfiVariableStore(await readFile(options.variablesPath ?? spec.firmware.variablesPath)).variables
  const smbios = smbiosOf(spec, firmware, toolchain)
  using disk = openDisk(spec.image.diskPath)
  const isSetupMode = secureBootState(firmware, { variables: stored }).mode === 'setup-mode'
  const variables = (isSetupMode ? selfEnrolledVariables(disk, stored) : undefined) ?? stored
  const secureBoot = secureBootState(firmware, { variables })
  const judge = ({ pe, bytes }: LoadedImage): ImageVerdict => {
    if (secureBoot.mode !== 'enabled') return { verdict: 'allowed', by: 'no-secure-boot' }
    const digests = authenticodeDigests(pe, bytes, HASH_ALGORITHMS)
    return judgeImage({ certificates: peCertificates(pe, bytes), digests }, secureBoot)
  }
  const boot = predictBoot({
    machine: {
      disk,
      variables,
      smbios: parseSmbiosTable(smbios.table),
      isSecureBootEnabled: secureBoot.mode === 'enabled',
      isTrusted: (image) => judge(image).verdict === 'allowed',
      // Each machine has a virtio-rng, for which OVMF has a driver.
      offersRandomSeed: true,
      consoles: { serialPort: 0, virtioConsoles: spec.channel ? 1 : 0, hasGraphics: spec.screen === true },
    },
    system: { ...(userData === undefined ? {} : { userData }) },
    banks,
  })
  const measured = predictFirmware({
    firmware,
    variables: { variables },
    generationId: spec.generationId,
    bootDevice: { pciDevice: SYSTEM_DISK_SLOT },
    ...(smbios.isExact ? { smbiosTable: smbios.table } : {}),
    ...(calibration === undefined ? {} : { calibration }),
  })
  const judged = boot.images.map((image) => ({ name: image.name, verdict: judge(image) }))
  const refusal = predictRefusal(judged.filter(({ name }) => boot.started.includes(name)))
  if (refusal !== undefined) {
    const { started } = boot
    const events = [...measured, ...afterRefusal(refusal)]
    return { events, started: started.slice(0, started.indexOf(refusal.image)), commandLine: undefined, refusal }
  }
  return {
    events: [...measured, ...authorityEvents(judged.map(({ verdict }) => verdict)), ...boot.events, IMA],
    refusal,
    started: boot.started,
    commandLine: boot.commandLine,
  }
}

/** The table that QEMU and the firmware make. Not exact where the processor is the host's: that identifies itself in it. */
function smbiosOf(
  spec: MachineSpec,
  { bios }: OvmfFirmware,
  { versions }: Pick<Toolchain, 'versions'>,
): { table: Uint8Array; isExact: boolean } {
  const table = machineSmbiosTable({
    identity: spec.smbios as Partial<Omit<SmbiosIdentity, 'oemStrings'>>,
    uuid: spec.uuid,
    oemStrings: machineOemStrings(spec),
    memoryMiB: spec.memoryMiB,
    cores: spec.cores,
    processorId: tcgProcessorId(spec.cores),
    machineType: machineType(versions),
    bios,
  })
  if (table !== undefined) return { table, isExact: spec.accelerator === 'tcg' }
  throw new BootwrightError(
    'INVALID_ARGUMENT',
    `The SMBIOS table of a machine with ${spec.memoryMiB} MiB and ${spec.cores} cores cannot be predicted`,
    { hint: 'Give it less than 2816 MiB and less than 255 cores.' },
  )
}

/** `q35` is the newest machine type of its QEMU. */
function machineType(versions: Toolchain['versions']): string {
  const [, major, minor] = /(?:^|:)(\d+)\.(\d+)/.exec(versions.qemu ?? '') ?? []
  if (major !== undefined && minor !== undefined) return `pc-q35-${major}.${minor}`
  throw new BootwrightError('HOST_UNSUITABLE', `Expected a version of QEMU, found "${versions.qemu}"`)
}
