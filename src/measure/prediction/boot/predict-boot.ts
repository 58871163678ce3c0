import { type Gpt, parseGpt } from '../../../formats/index.ts'
import { BootwrightError } from '../../../system/index.ts'
import { EV_EFI_GPT_EVENT } from '../../event-types.ts'
import { gptEventData } from '../../gpt-event.ts'
import { HASH_ALGORITHMS } from '../../hash-algorithms.ts'
import type { PredictedEvent } from '../event.ts'
import { bootLoader, type Handover } from './boot-loader.ts'
import { extendedBootPartition, systemPartitions } from './boot-volume.ts'
import { bytesMeasured, imageEvent, PCR, unknownMeasured } from './events.ts'
import type { BootInput, BootMachine } from './input.ts'
import { type KernelStart, kernel } from './kernel.ts'
import { programKind, type StartedFile, sectionOf, startedFile, systemdVersionOf } from './started-file.ts'
import { stub } from './stub.ts'
import { isMeasuredOs, system } from './system.ts'
import { DEFAULT_SYSTEMD_VERSION } from './systemd-changes.ts'

/** What a machine must measure from its first boot loader on. */
export interface BootPrediction {
  /** In the order of each PCR; between PCRs the order means little. */
  readonly events: readonly PredictedEvent[]
  /** The programs started one after the other: `EFI/BOOT/BOOTX64.EFI`, `EFI/Linux/cloud_1.efi`. */
  readonly started: readonly string[]
  /** What the kernel is started with; undefined if a program is started that is not known here. */
  readonly commandLine: string | undefined
  /** Of the boot loader, the stub and the system, as far as they tell. */
  readonly systemdVersion: number
}

const DEFAULT_BOOT_FILE = '\\EFI\\BOOT\\BOOTX64.EFI'
/** PCRs that an unknown boot loader may extend. */
const LOADER_PCRS = [4, 5, 8, 9, 11, 12, 13, 14, 15]

/**
 * Predicts everything from the first program that the firmware starts from the disk: boot loader, stub, kernel, system.
 *
 * Reads of the disk what the boot reads. `IMAGE_INCOMPLETE` if there is nothing to start, `MALFORMED_INPUT` if what
 * there is cannot be read.
 */
export function predictBoot({ machine, system: booted, banks = HASH_ALGORITHMS }: BootInput): BootPrediction {
  const gpt = parseGpt(machine.disk)
  const first = firstProgram(machine, gpt)
  const events: PredictedEvent[] = [gptEvent(gpt), ...imageEvent(first, banks, 'firmware')]
  const started = [first.name]
  let handover: Handover = { file: first, loadOptions: machine.start?.loadOptions, initrds: [] }
  let isSmbiosMeasured = false
  let loaderVersion: number | undefined
  if (programKind(first) === 'systemd-boot') {
    loaderVersion = systemdVersionOf(first) ?? DEFAULT_SYSTEMD_VERSION
    const loader = bootLoader(first, extendedBootPartition(machine.disk, gpt), machine, loaderVersion, banks)
    events.push(...loader.events)
    handover = loader.handover
    started.push(handover.file.name)
    isSmbiosMeasured = loader.events.some(({ pcr }) => pcr === PCR.platformConfig)
    if (loader.entry.kind === 'linux' && programKind(handover.file) === 'other') {
      const start: KernelStart = {
        commandLine: handover.loadOptions ?? '',
        initrd: { kind: 'parts', parts: handover.initrds },
      }
      events.push(...kernel(start, banks))
      return completed(start.commandLine, false, undefined, loaderVersion)
    }
  }
  const { file } = handover
  if (programKind(file) !== 'unified-kernel-image') {
    const measured = unknownMeasured(`${file.name} is no boot loader and no unified kernel image that is known here`)
    const what = `whatever ${file.name} measures`
    events.push(...LOADER_PCRS.map((pcr): PredictedEvent => ({ pcr, type: 'word', by: 'boot-loader', what, measured })))
    return { events, started, commandLine: undefined, systemdVersion: loaderVersion ?? DEFAULT_SYSTEMD_VERSION }
  }
  const stubVersion = systemdVersionOf(file) ?? loaderVersion ?? DEFAULT_SYSTEMD_VERSION
  const uki = stub(handover, machine, stubVersion, banks, { isSmbiosMeasured })
  events.push(...uki.events, ...kernel(uki.kernel, banks))
  return completed(uki.kernel.commandLine, true, sectionOf(file, '.pcrpkey'), stubVersion)

  function completed(
    commandLine: string,
    isMeasuredUki: boolean,
    pcrPublicKey: Uint8Array | undefined,
    version: number,
  ): BootPrediction {
    const systemdVersion = booted.systemdVersion ?? version
    if (isMeasuredOs(commandLine, isMeasuredUki)) {
      events.push(...system({ commandLine, pcrPublicKey, systemdVersion }, machine, booted, gpt))
    }
    return { events, started, commandLine, systemdVersion }
  }
}

/** The firmware takes the first ESP that has the file. */
function firstProgram(machine: BootMachine, gpt: Gpt): StartedFile {
  const path = machine.start?.path ?? DEFAULT_BOOT_FILE
  const volumes = systemPartitions(machine.disk, gpt)
  for (const volume of volumes) {
    const file = startedFile(volume, path)
    if (file !== undefined) return file
  }
  throw new BootwrightError(
    'IMAGE_INCOMPLETE',
    `The firmware finds nothing to start: ${volumes.length} EFI system partitions, and none has ${path}`,
    { hint: 'Build the image with Bootable=yes and a boot loader or unified kernel image on its ESP.' },
  )
}

function gptEvent(gpt: Gpt): PredictedEvent {
  const data = gptEventData(gpt)
  const event = { pcr: PCR.bootLoaderConfig, type: EV_EFI_GPT_EVENT, by: 'firmware' } as const
  return { ...event, what: `partition table ${gpt.header.diskGuid}`, measured: bytesMeasured(data), data }
}
