import { parseLoaderConf, utf16z } from '../../../formats/index.ts'
import { BootwrightError } from '../../../system/index.ts'
import type { HashAlgorithm } from '../../hash-algorithms.ts'
import type { PredictedEvent } from '../event.ts'
import { type BootEntry, entriesOf, entriesOfMachine } from './boot-entries.ts'
import type { BootVolume } from './boot-volume.ts'
import { chooseEntry } from './choose-entry.ts'
import { joined } from './command-line.ts'
import { entryExtras } from './entry-extras.ts'
import { bytesMeasured, commandLineEvent, imageEvents, PCR, taggedEvent } from './events.ts'
import type { BootMachine } from './input.ts'
import { oemStrings, smbiosEvents } from './smbios-events.ts'
import { type LoadedImage, personalPath, type StartedFile, startedFile } from './started-file.ts'
import { hasChange } from './systemd-changes.ts'

/** What a boot loader leaves behind for the program that it starts. */
export interface Handover {
  readonly file: StartedFile
  readonly loadOptions: string | undefined
  /** Registered as the initrd of the LOAD_FILE2 protocol, in order. */
  readonly initrds: readonly Uint8Array[]
}

const LOADER_CONF = '\\loader\\loader.conf'
const LOADER_CONF_TAG = 0xf5bc582a
const DRIVERS = '\\EFI\\systemd\\drivers'
const OEM_COMMAND_LINE = 'io.systemd.boot.kernel-cmdline-extra='

/** Everything that systemd-boot measures when nobody touches its menu, up to the start of the entry. */
export function bootLoader(
  self: StartedFile,
  xbootldr: BootVolume | undefined,
  machine: BootMachine,
  systemdVersion: number,
  banks: readonly HashAlgorithm[],
): {
  readonly events: readonly PredictedEvent[]
  readonly images: readonly LoadedImage[]
  readonly handover: Handover
  readonly entry: BootEntry
} {
  const { volume } = self
  const events: PredictedEvent[] = []
  const images: LoadedImage[] = []
  if (hasChange(systemdVersion, 'smbiosInPcr1')) events.push(...smbiosEvents(machine.smbios, 'boot-loader'))
  for (const name of volume.fileNames(DRIVERS)) {
    if (name.startsWith('.') || !name.toLowerCase().endsWith('x64.efi')) continue
    const driver = startedFile(volume, `${DRIVERS}\\${name}`)
    if (driver === undefined) continue
    images.push(driver)
    if (machine.isTrusted?.(driver) === false) continue
    events.push(...imageEvents(driver, banks, 'boot-loader'))
  }
  const conf = volume.read(LOADER_CONF)
  if (conf !== undefined) {
    const event = { pcr: PCR.bootLoaderConfig, by: 'boot-loader', measured: bytesMeasured(conf) } as const
    events.push(
      taggedEvent({ ...event, what: `file ${personalPath(LOADER_CONF)}` }, LOADER_CONF_TAG, utf16z('loader.conf')),
    )
  }
  const entries = [
    ...entriesOf(volume),
    ...(xbootldr === undefined ? [] : entriesOf(xbootldr)),
    ...(machine.isConfidential ? [] : entriesOfMachine(volume, machine.smbios)),
  ]
  const entry = chooseEntry(entries, parseLoaderConf(conf ?? new Uint8Array()), machine.variables, systemdVersion)
  const file = entry === undefined ? undefined : startedFile(entry.volume, entry.path)
  if (entry === undefined || file === undefined) {
    throw new BootwrightError('IMAGE_INCOMPLETE', 'systemd-boot finds no entry to start, it would show its menu', {
      hint: 'Put a unified kernel image into EFI/Linux of the boot partition, or an entry into loader/entries.',
    })
  }
  events.push(...imageEvents(file, banks, 'boot-loader'))
  const extras = hasChange(systemdVersion, 'entryExtras') ? entryExtras(entry) : { events: [], archives: [] }
  events.push(...extras.events)
  const loadOptions = optionsOf(entry, machine)
  if (loadOptions !== undefined)
    events.push(commandLineEvent('boot-loader', `load options of ${file.name}`, loadOptions))
  const initrds = entry.kind === 'linux' ? entry.initrds.map((path) => readInitrd(entry, path)) : []
  return {
    events,
    images: [...images, file],
    handover: { file, loadOptions, initrds: [...initrds, ...extras.archives] },
    entry,
  }
}

/** Undefined where the program starts with what it has inside. */
function optionsOf(entry: BootEntry, { smbios, isConfidential }: BootMachine): string | undefined {
  // Kernels before LOAD_FILE2 found their initrd by these words.
  const initrds = entry.kind === 'linux' ? entry.initrds.map((path) => `initrd=${path}`).join(' ') : ''
  const extra = entry.kind === 'linux' && !isConfidential ? oemStrings(smbios, OEM_COMMAND_LINE)[0] : undefined
  let options = initrds === '' ? entry.options : joined(initrds, entry.options ?? '')
  if (extra !== undefined) options = joined(options ?? '', extra)
  if (entry.profile > 0) options = joined(`@${entry.profile}`, options ?? '')
  return options
}

function readInitrd(entry: BootEntry, path: string): Uint8Array {
  const bytes = entry.volume.read(path)
  if (bytes !== undefined) return bytes
  throw new BootwrightError(
    'IMAGE_INCOMPLETE',
    `Entry ${entry.id} names the initrd ${personalPath(path)}, which is not there`,
  )
}
