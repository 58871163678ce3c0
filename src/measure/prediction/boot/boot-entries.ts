import {
  asciiLowerCase,
  type BootCounter,
  type BootEntryFile,
  compareVersions,
  efiPath,
  parseBootCounter,
  parseBootEntry,
  parseOsRelease,
  type SmbiosStructure,
} from '../../../formats/index.ts'
import { BootwrightError } from '../../../system/index.ts'
import { countProfiles } from '../../uki.ts'
import type { BootVolume } from './boot-volume.ts'
import { oemStrings } from './smbios-events.ts'
import { sectionOf, startedFile } from './started-file.ts'

/** An entry of systemd-boot's menu that starts something. */
export interface BootEntry {
  /** File name without its counter, in small letters; profiles but the first have `@` and their ID behind it. */
  readonly id: string
  readonly idWithoutProfile: string
  readonly volume: BootVolume
  /** The file to start. */
  readonly path: string
  readonly kind: BootEntryFile['kind'] | 'type2'
  readonly sortKey?: string | undefined
  readonly version?: string | undefined
  readonly machineId?: string | undefined
  readonly counter?: BootCounter | undefined
  readonly profile: number
  /** Given to the program and measured; undefined where the program has its own. */
  readonly options?: string | undefined
  readonly initrds: readonly string[]
  readonly extras: readonly string[]
}

const TYPE2_DIRECTORY = '\\EFI\\Linux'
const TYPE1_DIRECTORY = '\\loader\\entries'
const OEM_ENTRY = 'io.systemd.boot.entries-extra:'
/** What systemd-boot is built for calls itself so in `architecture` lines. */
const ARCHITECTURE = 'x64'

/** All entries of one boot partition, unsorted. */
export function entriesOf(volume: BootVolume): BootEntry[] {
  const isNamed = (name: string, suffix: string): boolean =>
    !name.startsWith('.') && name.toLowerCase().endsWith(suffix) && !name.toLowerCase().startsWith('auto-')
  const unified = volume.fileNames(TYPE2_DIRECTORY).filter((name) => isNamed(name, '.efi'))
  const described = volume.fileNames(TYPE1_DIRECTORY).filter((name) => isNamed(name, '.conf'))
  return [
    ...unified.flatMap((name) => unifiedEntries(volume, name)),
    ...described.flatMap((name) =>
      describedEntry(volume, name, volume.read(`${TYPE1_DIRECTORY}\\${name}`) ?? new Uint8Array(), true),
    ),
  ]
}

/** Entries that the machine brings in strings of SMBIOS type 11, `…:NAME.conf=CONTENT`. */
export function entriesOfMachine(volume: BootVolume, smbios: readonly SmbiosStructure[]): BootEntry[] {
  return oemStrings(smbios, OEM_ENTRY).flatMap((text) => {
    const split = text.indexOf('=')
    const name = text.slice(0, Math.max(split, 0))
    if (name.startsWith('.') || !name.toLowerCase().endsWith('.conf') || name.toLowerCase().startsWith('auto-'))
      return []
    return describedEntry(volume, name, Buffer.from(text.slice(split + 1)), false)
  })
}

/** A UKI makes one entry for each of its profiles. A file that is no PE file, or has no name to show, makes none. */
function unifiedEntries(volume: BootVolume, fileName: string): BootEntry[] {
  const path = `${TYPE2_DIRECTORY}\\${fileName}`
  const file = orUndefined(() => startedFile(volume, path))
  if (file === undefined) return []
  const counter = parseBootCounter(fileName, '.efi')
  const idWithoutProfile = asciiLowerCase(counter?.name ?? fileName)
  const entries: BootEntry[] = []
  for (let profile = 0; profile < countProfiles(file.pe); profile++) {
    const osRelease = sectionOf(file, '.osrel', profile)
    if (osRelease === undefined) continue
    const os = parseOsRelease(osRelease)
    if (!['PRETTY_NAME', 'IMAGE_ID', 'NAME', 'ID'].some((key) => os.has(key))) continue
    const own = profile === 0 ? undefined : sectionOf(file, '.profile', profile)
    const profileName = own === undefined ? undefined : parseOsRelease(own).get('ID')
    entries.push({
      id: profile === 0 ? idWithoutProfile : asciiLowerCase(`${idWithoutProfile}@${profileName ?? profile}`),
      idWithoutProfile,
      volume,
      path,
      kind: 'type2',
      sortKey: os.get('IMAGE_ID') ?? os.get('ID'),
      version: os.get('IMAGE_VERSION') ?? os.get('VERSION') ?? os.get('VERSION_ID') ?? os.get('BUILD_ID'),
      counter,
      profile,
      initrds: [],
      extras: [],
    })
  }
  return entries
}

function describedEntry(volume: BootVolume, fileName: string, bytes: Uint8Array, isCounted: boolean): BootEntry[] {
  const file = parseBootEntry(bytes)
  if (file === undefined || file.kind === 'uki-url') return []
  if (file.architecture !== undefined && file.architecture.toLowerCase() !== ARCHITECTURE) return []
  if (!volume.has(file.target)) return []
  const counter = isCounted ? parseBootCounter(fileName, '.conf') : undefined
  const id = asciiLowerCase(counter?.name ?? fileName)
  return [
    {
      id,
      idWithoutProfile: id,
      volume,
      path: efiPath(file.target),
      kind: file.kind,
      sortKey: file.sortKey,
      version: file.version,
      machineId: file.machineId,
      counter,
      profile: file.profile ?? 0,
      options: file.options,
      initrds: file.initrds,
      extras: file.extras,
    },
  ]
}

/** The order of the menu: what has no tries left goes last, then by sort key, machine, newest version. */
export function compareEntries(a: BootEntry, b: BootEntry): number {
  return (
    Number(a.counter?.left === 0) - Number(b.counter?.left === 0) ||
    Number(a.sortKey === undefined) - Number(b.sortKey === undefined) ||
    (a.sortKey === undefined ? 0 : compareKeys(a, b)) ||
    -compareVersions(a.idWithoutProfile, b.idWithoutProfile) ||
    a.profile - b.profile ||
    compareCounters(a.counter, b.counter)
  )
}

function compareKeys(a: BootEntry, b: BootEntry): number {
  return (
    compareText(a.sortKey, b.sortKey) ||
    compareText(a.machineId, b.machineId) ||
    -compareVersions(a.version ?? '', b.version ?? '')
  )
}

/** By code units; nothing comes first. */
function compareText(a = '', b = ''): number {
  return a === b ? 0 : a < b ? -1 : 1
}

function compareCounters(a: BootCounter | undefined, b: BootCounter | undefined): number {
  return a === undefined || b === undefined ? 0 : b.left - a.left || a.done - b.done
}

function orUndefined<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (error instanceof BootwrightError && error.code === 'MALFORMED_INPUT') return undefined
    throw error
  }
}
