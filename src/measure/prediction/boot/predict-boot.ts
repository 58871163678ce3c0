import { type Gpt, parseGpt } from '../../../formats/index.ts'
import { BootwrightError } from '../../../system/index.ts'
import { EV_EFI_GPT_EVENT } from '../../event-types.ts'
import { gptEventData } from '../../gpt-event.ts'
import { HASH_ALGORITHMS } from '../../hash-algorithms.ts'
import type { PredictedEvent } from '../event.ts'
import { bootLoader } from './boot-loader.ts'
import { extendedBootPartition, systemPartitions } from './boot-volume.ts'
import { bytesMeasured, imageEvents, PCR, unknownMeasured } from './events.ts'
import type { BootInput, BootMachine } from './input.ts'
import { type KernelStart, kernel } from './kernel.ts'
import {
  type LoadedImage,
  programKind,
  type StartedFile,
  sectionOf,
  startedFile,
  systemdVersionOf,
} from './started-file.ts'
import { stub } from './stub.ts'
import { isMeasuredOs, system } from './system.ts'
import { DEFAULT_SYSTEMD_VERSION } from './systemd-changes.ts'

/** What a machine must measure from its first boot loader on. */
export interface BootPrediction {
  /** In the order of each PCR; between PCRs the order means little. */
  readonly events: readonly PredictedEvent[]
  /** What the firmware loads, and verifies under Secure Boot, in order: boot loader, drivers, UKI, addons. */
  readonly images: readonly LoadedImage[]
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
  const xbootldr = extendedBootPartition(machine.disk, gpt)
  const loader =
    programKind(first) === 'systemd-boot' ? bootLoader(first, xbootldr, machine, versionOf(first), banks) : undefined
  const handover = loader?.handover ?? { file: first, loadOptions: machine.start?.loadOptions, initrds: [] }
  const { file } = handover
  const images: LoadedImage[] = [first, ...(loader?.images ?? [])]
  const events = [gptEvent(gpt), ...imageEvents(first, banks, 'firmware'), ...(loader?.events ?? [])]
  const systemdVersion = booted.systemdVersion ?? systemdVersionOf(file) ?? versionOf(first)
  const started = loader === undefined ? [first.name] : [first.name, file.name]

  let start: KernelStart
  const isUki = programKind(file) === 'unified-kernel-image'
  if (isUki) {
    const isSmbiosMeasured = events.some(({ pcr }) => pcr === PCR.platformConfig)
    const uki = stub(handover, machine, systemdVersionOf(file) ?? versionOf(first), banks, { isSmbiosMeasured })
    events.push(...uki.events)
    images.push(...uki.images)
    start = uki.kernel
  } else if (loader?.entry.kind === 'linux') {
    start = { commandLine: handover.loadOptions ?? '', initrd: { kind: 'parts', parts: handover.initrds } }
  } else {
    return { events: [...events, ...unknownProgram(file)], images, started, commandLine: undefined, systemdVersion }
  }
  const { commandLine } = start
  events.push(...kernel(start, banks))
  if (isMeasuredOs(commandLine, isUki)) {
    const [pcrPublicKey, initrd] = isUki ? [sectionOf(file, '.pcrpkey'), sectionOf(file, '.initrd')] : []
    events.push(...system({ commandLine, pcrPublicKey, initrd, systemdVersion }, machine, booted, gpt))
  }
  return { events, images, started, commandLine, systemdVersion }
}

function versionOf(file: StartedFile): number {
  return systemdVersionOf(file) ?? DEFAULT_SYSTEMD_VERSION
}

function unknownProgram(file: StartedFile): PredictedEvent[] {
  const measured = unknownMeasured(`${file.name} is no boot loader and no unified kernel image that is known here`)
  const what = `whatever ${file.name} measures`
  return LOADER_PCRS.map((pcr) => ({
    pcr,
    type: 'word',
    by: 'boot-loader',
    what,
    measured,
    standsFor: 'anything',
  }))
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
