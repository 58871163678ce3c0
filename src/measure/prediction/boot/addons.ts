import { efiText, smbiosIdentity, utf16z } from '../../../formats/index.ts'
import { BootwrightError } from '../../../system/index.ts'
import { chosenDevicetree } from '../../hardware-choice.ts'
import type { HashAlgorithm } from '../../hash-algorithms.ts'
import type { PredictedEvent } from '../event.ts'
import type { BootVolume } from './boot-volume.ts'
import { mangled } from './command-line.ts'
import { bytesMeasured, imageEvents, PCR, taggedEvent } from './events.ts'
import type { BootMachine } from './input.ts'
import { type StartedFile, sectionMemory, sectionOf, startedFile } from './started-file.ts'

/** A section of an addon that the stub uses. */
export interface AddonPart {
  /** File name of the addon. */
  readonly name: string
  readonly bytes: Uint8Array
}

/** What the addons of a UKI bring, each in the order in which they are loaded. */
export interface Addons {
  /** One record in PCR 4 for each image that the firmware loaded, used or not. */
  readonly events: readonly PredictedEvent[]
  /** Those that the firmware did not let pass as well. */
  readonly images: readonly StartedFile[]
  readonly commandLine: string
  readonly devicetrees: readonly AddonPart[]
  readonly initrds: readonly AddonPart[]
  readonly microcode: readonly AddonPart[]
}

const GLOBAL_DIRECTORY = '\\loader\\addons'
const SUFFIX = '.addon.efi'
const USED = ['.cmdline', '.initrd', '.ucode']

/** Loads the addons for all UKIs, then those of this one. */
export function loadAddons(
  volume: BootVolume,
  ownDirectory: string,
  uname: Uint8Array | undefined,
  { isTrusted, smbios }: Pick<BootMachine, 'isTrusted' | 'smbios'>,
  banks: readonly HashAlgorithm[],
): Addons {
  const events: PredictedEvent[] = []
  const devicetrees: AddonPart[] = []
  const initrds: AddonPart[] = []
  const microcode: AddonPart[] = []
  let commandLine = ''
  const files = addonFiles(volume, [GLOBAL_DIRECTORY, ownDirectory])
  for (const { name, file } of files) {
    if (isTrusted?.(file) === false) continue
    events.push(...imageEvents(file, banks, 'stub'))
    const devicetree = devicetreeOf(file, smbios)
    if (!isApplicable(file, uname, devicetree)) continue
    const words = sectionOf(file, '.cmdline')
    if (words !== undefined) {
      const text = mangled(efiText(words))
      commandLine = commandLine === '' ? text : `${commandLine} ${text}`
    }
    const add = (list: AddonPart[], bytes: Uint8Array | undefined): void => {
      if (bytes !== undefined) list.push({ name, bytes })
    }
    add(devicetrees, devicetree)
    add(initrds, sectionOf(file, '.initrd'))
    add(microcode, sectionOf(file, '.ucode'))
  }
  const images = files.map(({ file }) => file)
  return { events, images, commandLine: mangled(commandLine), devicetrees, initrds, microcode }
}

const DEVICETREE_TAG = 0x6c46f751
const MICROCODE_TAG = 0xdac08e1a
const INITRD_TAG = 0x49dffe0f

export function devicetreeEvents(parts: readonly AddonPart[]): PredictedEvent[] {
  return parts.map((part) => partEvent(part, 'devicetree', DEVICETREE_TAG))
}

/** The last one loaded is measured first: it also comes first for the kernel. */
export function microcodeEvents(parts: readonly AddonPart[]): PredictedEvent[] {
  return parts.toReversed().map((part) => partEvent(part, 'microcode', MICROCODE_TAG))
}

export function initrdEvents(parts: readonly AddonPart[]): PredictedEvent[] {
  return parts.map((part) => partEvent(part, 'initrd', INITRD_TAG))
}

function partEvent({ name, bytes }: AddonPart, what: string, tag: number): PredictedEvent {
  const event = { pcr: PCR.kernelConfig, by: 'stub', measured: bytesMeasured(bytes) } as const
  return taggedEvent({ ...event, what: `${what} of addon ${name}` }, tag, utf16z(name))
}

/** Files that the firmware refuses to load, since they are no PE files, leave no trace. */
function addonFiles(volume: BootVolume, directories: readonly string[]): { name: string; file: StartedFile }[] {
  return directories.flatMap((directory) =>
    volume.pickedUp(directory, SUFFIX).flatMap((name) => {
      try {
        const file = startedFile(volume, `${directory}\\${name}`)
        return file === undefined ? [] : [{ name, file }]
      } catch (error) {
        if (error instanceof BootwrightError && error.code === 'MALFORMED_INPUT') return []
        throw error
      }
    }),
  )
}

/** The one that is for this machine, if any. */
function devicetreeOf(file: StartedFile, smbios: BootMachine['smbios']): Uint8Array | undefined {
  const chosen = chosenDevicetree(file.pe.sections, file.bytes, smbiosIdentity(smbios))
  return chosen === undefined ? sectionOf(file, '.dtb') : sectionMemory(file, chosen)
}

/** An addon has no kernel, and fits the UKI's kernel if it names one. */
function isApplicable(file: StartedFile, uname: Uint8Array | undefined, devicetree: Uint8Array | undefined): boolean {
  if (sectionOf(file, '.linux') !== undefined) return false
  if (devicetree === undefined && USED.every((name) => sectionOf(file, name) === undefined)) return false
  const wanted = sectionOf(file, '.uname')
  if (uname === undefined || wanted === undefined) return true
  return efiText(uname).slice(0, wanted.byteLength) === efiText(wanted)
}
