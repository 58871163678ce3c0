import { efiText, type PeFile, type PeSection, parsePe } from '../../../formats/index.ts'
import { BootwrightError } from '../../../system/index.ts'
import { profileScopes } from '../../uki.ts'
import type { BootVolume } from './boot-volume.ts'

/** A PE file that the firmware loads. */
export interface LoadedImage {
  /** For a person: `EFI/Linux/cloud_1.efi`. */
  readonly name: string
  readonly bytes: Uint8Array
  readonly pe: PeFile
}

/** A PE file of a boot partition. */
export interface StartedFile extends LoadedImage {
  readonly volume: BootVolume
  /** With `\` between components. */
  readonly path: string
}

/** Reads a file that is to be started; undefined if there is none. One that is no PE file is `MALFORMED_INPUT`. */
export function startedFile(volume: BootVolume, path: string): StartedFile | undefined {
  const bytes = volume.read(path)
  if (bytes === undefined) return undefined
  return { volume, path, name: personalPath(path), bytes, pe: parsePe(bytes) }
}

/** `\EFI\Linux\a.efi` as `EFI/Linux/a.efi`. */
export function personalPath(path: string): string {
  return path.replaceAll('\\', '/').replace(/^\/+/, '')
}

export type ProgramKind = 'unified-kernel-image' | 'systemd-boot' | 'other'

/** What a file is, by its sections: systemd's programs carry their name in one. */
export function programKind(file: StartedFile): ProgramKind {
  if (sectionOf(file, '.linux') !== undefined) return 'unified-kernel-image'
  return magicOf(file)?.startsWith('systemd-boot ') ? 'systemd-boot' : 'other'
}

/** The version of systemd that a boot loader or a stub is of; undefined if it does not tell. */
export function systemdVersionOf(file: StartedFile): number | undefined {
  const magic = /^systemd-\w+ (\d+)/.exec(magicOf(file) ?? '')?.[1]
  const sbat = sectionOf(file, '.sbat')
  const generation =
    sbat === undefined ? undefined : /^systemd(?:-stub|-boot)?,\d+,[^,]*,systemd,(\d+)/m.exec(efiText(sbat))?.[1]
  const version = Number(magic ?? generation)
  return Number.isInteger(version) && version > 0 ? version : undefined
}

/** `systemd-stub 262-1`, from `#### LoaderInfo: systemd-stub 262-1 ####`. */
function magicOf(file: StartedFile): string | undefined {
  const magic = sectionOf(file, '.sdmagic')
  return magic === undefined ? undefined : /^#### LoaderInfo: (.*) ####/.exec(efiText(magic))?.[1]
}

/** The content of a section in memory; that of the profile if it has one of its own. */
export function sectionOf(file: StartedFile, name: string, profile?: number): Uint8Array | undefined {
  const isMeant = (section: PeSection): boolean => section.name === name && section.virtualSize > 0
  if (profile === undefined) {
    const section = file.pe.sections.find(isMeant)
    return section === undefined ? undefined : sectionMemory(file, section)
  }
  const { base, own } = profileScopes(file.pe, profile)
  const section = own.find(isMeant) ?? base.find(isMeant)
  return section === undefined ? undefined : sectionMemory(file, section)
}

/** `VirtualSize` bytes: a view of the file, or a copy where zeros follow. */
export function sectionMemory(file: StartedFile, section: PeSection): Uint8Array {
  const length = Math.min(section.virtualSize, section.rawSize)
  const view = file.bytes.subarray(section.rawOffset, section.rawOffset + length)
  if (length === section.virtualSize) return view
  if (section.virtualSize > MAX_ZERO_FILL_BYTES) {
    throw new BootwrightError(
      'MALFORMED_INPUT',
      `Section ${section.name} of ${file.name} has ${section.rawSize} bytes in the file and ${section.virtualSize} in memory`,
      { hint: 'Build the image again; no section of a unified kernel image is that sparse.' },
    )
  }
  const memory = new Uint8Array(section.virtualSize)
  memory.set(view)
  return memory
}

const MAX_ZERO_FILL_BYTES = 256 * 1024 * 1024
