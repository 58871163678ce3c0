import { malformed, type PeFile, type PeSection } from '../formats/index.ts'
import { BootwrightError } from '../system/index.ts'

/** The sections that systemd-stub measures into PCR 11, in that order (UAPI unified kernel image specification). */
export const MEASURED_SECTIONS = [
  '.linux',
  '.osrel',
  '.cmdline',
  '.initrd',
  '.ucode',
  '.splash',
  '.dtb',
  '.uname',
  '.sbat',
  '.pcrpkey',
  '.profile',
  '.dtbauto',
  '.hwids',
  '.efifw',
] as const

export type MeasuredSectionName = (typeof MEASURED_SECTIONS)[number]

/** Of these the stub takes the one that fits the hardware, out of several of the same name, and measures only that. */
const CHOSEN_BY_HARDWARE: ReadonlySet<string> = new Set(['.dtbauto', '.efifw'])

/** The stub counts profiles up to this number. */
const MAX_PROFILES = 256

/** Bytes to be measured: `bytes`, followed by zeros up to `size`. */
export interface MeasuredContent {
  readonly name: MeasuredSectionName
  readonly bytes: Uint8Array
  readonly size: number
}

export interface UkiProfile {
  /** 0 for a UKI without `.profile` sections. */
  readonly profile: number
  /** What the stub measures for this profile, in order. */
  readonly measured: readonly MeasuredContent[]
  /** Candidates among which the hardware chooses. If one is chosen PCR 11 has more than `measured` says. */
  readonly hardwareCandidates: readonly PeSection[]
}

export interface UkiProfileOptions {
  /** The profile that is booted, `@N` in the load options; 0 without it. */
  readonly profile?: number
  /** The candidates that the machine's hardware selects, at most one a name; none without it, as on plain QEMU x86. */
  readonly selected?: readonly PeSection[]
}

/** How many profiles a UKI has; one without `.profile` sections has one. */
export function countProfiles(pe: PeFile): number {
  return Math.max(1, pe.sections.filter((section) => section.name === '.profile').length)
}

/**
 * The effective sections of one profile of a UKI: the profile's own, else those in front of the first `.profile`.
 *
 * `file` are the bytes that `pe` was parsed from; the contents are views of them. Rejects a file without `.linux`
 * (IMAGE_INCOMPLETE) and a profile that the UKI does not have (UNKNOWN_NAME).
 */
export function ukiProfile(pe: PeFile, file: Uint8Array, options: UkiProfileOptions = {}): UkiProfile {
  const profile = options.profile ?? 0
  const { base, own } = profileScopes(pe, profile)
  const measured: MeasuredContent[] = []
  const hardwareCandidates: PeSection[] = []
  for (const name of MEASURED_SECTIONS) {
    const ofName = (section: PeSection): boolean => section.name === name
    if (CHOSEN_BY_HARDWARE.has(name)) {
      const candidates = [...own.filter(ofName), ...base.filter(ofName)]
      const chosen = options.selected?.find((section) => candidates.includes(section))
      if (chosen !== undefined && chosen.virtualSize > 0) measured.push(contentOf(name, chosen, file))
      hardwareCandidates.push(...candidates)
      continue
    }
    const section = own.find(ofName) ?? base.find(ofName)
    if (section !== undefined && section.virtualSize > 0) measured.push(contentOf(name, section, file))
  }
  if (measured[0]?.name !== '.linux') {
    throw new BootwrightError(
      'IMAGE_INCOMPLETE',
      'The PE file has no .linux section, so it is not a unified kernel image',
      {
        hint: 'Addons and boot loaders have none; give the file that lies in EFI/Linux of the boot partition.',
      },
    )
  }
  return { profile, measured, hardwareCandidates }
}

/** The sections in front of the first `.profile`, and those of one profile: from its `.profile` to the next. */
export function profileScopes(pe: PeFile, profile: number): { base: readonly PeSection[]; own: readonly PeSection[] } {
  const starts = pe.sections.flatMap((section, index) => (section.name === '.profile' ? [index] : []))
  const excess = pe.sections[starts[MAX_PROFILES] ?? -1]
  if (excess !== undefined) {
    throw malformed(
      { what: 'unified kernel image', field: '.profile', offset: excess.headerOffset },
      `there are ${starts.length} profiles, the stub knows at most ${MAX_PROFILES}`,
    )
  }
  if (!Number.isInteger(profile) || profile < 0 || profile >= Math.max(1, starts.length)) {
    throw new BootwrightError(
      'UNKNOWN_NAME',
      `The unified kernel image has no profile ${profile}; it has ${countProfiles(pe)}, counted from 0`,
    )
  }
  const base = pe.sections.slice(0, starts[0] ?? pe.sections.length)
  const start = starts[profile]
  return { base, own: start === undefined ? [] : pe.sections.slice(start, starts[profile + 1]) }
}

/** What the file has of a section of a profile, also of one that is not measured; a view, without zeros that follow in memory. */
export function ukiSection(pe: PeFile, file: Uint8Array, name: string, profile = 0): Uint8Array | undefined {
  const { base, own } = profileScopes(pe, profile)
  const section = own.find((one) => one.name === name) ?? base.find((one) => one.name === name)
  if (section === undefined) return undefined
  return file.subarray(section.rawOffset, section.rawOffset + Math.min(section.virtualSize, section.rawSize))
}

/** What lies in memory once the section is mapped: raw data beyond VirtualSize is not part of it. */
function contentOf(name: MeasuredSectionName, section: PeSection, file: Uint8Array): MeasuredContent {
  const length = Math.min(section.virtualSize, section.rawSize)
  const bytes = file.subarray(section.rawOffset, section.rawOffset + length)
  if (bytes.byteLength !== length) {
    throw new BootwrightError('BUG', `Section ${name} was parsed from another file: ${length} bytes are not there`)
  }
  return { name, bytes, size: section.virtualSize }
}

/**
 * The same from plain files, as `systemd-measure calculate --linux=… --initrd=…` takes them: each hashed whole, empty
 * ones left out, and the argument order does not matter.
 */
export function measuredFiles(files: Readonly<Partial<Record<MeasuredSectionName, Uint8Array>>>): MeasuredContent[] {
  return MEASURED_SECTIONS.flatMap((name) => {
    const bytes = files[name]
    return bytes === undefined || bytes.byteLength === 0 ? [] : [{ name, bytes, size: bytes.byteLength }]
  })
}
