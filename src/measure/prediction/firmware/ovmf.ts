import {
  type FirmwareFile,
  type FirmwareVolume,
  findFirmwareVolumes,
  firmwareFiles,
  firmwareSections,
  malformed,
  nestedFirmwareVolumes,
  SECTION_PE32,
  SECTION_TE,
} from '../../../formats/index.ts'

/** What the code file of an OVMF build says about the measurements of a machine that starts with it. */
export interface OvmfFirmware {
  /** PcdFirmwareVersionString, for example `2026.08+ds-2`. */
  readonly version: string
  /** What it says in SMBIOS, type 0, where QEMU says nothing; undefined when the file does not tell. */
  readonly bios: Readonly<Record<'vendor' | 'version' | 'releaseDate', string>> | undefined
  /** The decompressed volume with the modules that run before memory is there. */
  readonly peifv: Uint8Array
  /** The decompressed volume with drivers and applications. */
  readonly dxefv: Uint8Array
  readonly hasSecureBoot: boolean
  /** Variables are kept in system management mode, and the firmware's volumes are written to before they are measured. */
  readonly hasSmm: boolean
  readonly hasShell: boolean
}

/** Names that EDK2 gives its volumes and modules (OvmfPkg; SecurityPkg; MdeModulePkg; ShellPkg). */
const PEIFV = '6938079b-b503-4e3d-9d24-b28337a25806'
export const DXEFV = '7cb8bdc9-f8eb-4f34-aaea-3ee4af6516a1'
const TCG2_PEI = 'a0c98b77-cba5-4bb8-993b-4af6ce33ece4'
const SMBIOS_PLATFORM_DXE = '4110465d-5ff3-4f4b-b580-24ed0d06747a'
const SECURE_BOOT_CONFIG_DXE = 'f0e6a44f-7195-41c3-ac64-54f202cd0a21'
const PI_SMM_CORE = 'e94f54cd-81eb-47ed-aec3-856f5dc157a9'
export const SHELL = '7c04a583-9e3e-4f1c-ad65-e05268d0b4d1'

const WHAT = 'OVMF code file'
const MINIMUM_TEXT_LENGTH = 3
/** What OVMF says in SMBIOS when it was built without a vendor or without a date. */
const FALLBACK_VENDOR = 'unknown'
const FALLBACK_DATE = '02/02/2022'

/**
 * Reads the code file of an OVMF build that measures (OVMF_CODE_4M.fd): decompresses it, about half a second. Whatever is
 * not one is `MALFORMED_INPUT`.
 */
export function parseOvmf(code: Uint8Array): OvmfFirmware {
  const volumes = nestedFirmwareVolumes(findFirmwareVolumes(code))
  const peifv = volumeNamed(volumes, PEIFV, 'PEIFV')
  const dxefv = volumeNamed(volumes, DXEFV, 'DXEFV')
  const files = firmwareFiles(dxefv)
  const drivers = new Set(files.map(({ name }) => name))
  const version = versionIn(firmwareFiles(peifv))
  return {
    version,
    bios: biosIn(files, version),
    peifv: peifv.bytes,
    dxefv: dxefv.bytes,
    hasSecureBoot: drivers.has(SECURE_BOOT_CONFIG_DXE),
    hasSmm: drivers.has(PI_SMM_CORE),
    hasShell: drivers.has(SHELL),
  }
}

function volumeNamed(volumes: readonly FirmwareVolume[], name: string, title: string): FirmwareVolume {
  const volume = volumes.find((one) => one.name === name)
  if (volume !== undefined) return volume
  throw malformed({ what: WHAT, field: title, offset: 0 }, `there is no volume ${name}`, {
    hint: 'Give the code file of an OVMF build for x86-64, for example OVMF_CODE_4M.fd.',
  })
}

/** The version is a constant of the module that measures it, and the only text in UTF-16 that this module has. */
function versionIn(files: readonly FirmwareFile[]): string {
  const tcg2 = files.find(({ name }) => name === TCG2_PEI)
  if (tcg2 === undefined) {
    throw malformed({ what: WHAT, field: 'Tcg2Pei', offset: 0 }, 'there is no such module', {
      hint: 'This build measures nothing: take one that was built with TPM2_ENABLE.',
    })
  }
  const texts = programTexts(tcg2)
  const [version] = texts
  if (version !== undefined && texts.length === 1) return version
  throw malformed(
    { what: WHAT, field: 'PcdFirmwareVersionString', offset: 0 },
    `expected one text in module Tcg2Pei, found ${texts.map((text) => JSON.stringify(text)).join(', ') || 'none'}`,
  )
}

/** The texts of the module that makes the structure of type 0: the version, a date, a vendor, and what stands in for them. */
function biosIn(files: readonly FirmwareFile[], version: string): OvmfFirmware['bios'] {
  const platform = files.find(({ name }) => name === SMBIOS_PLATFORM_DXE)
  if (platform === undefined) return undefined
  const isDate = (text: string): boolean => /^\d\d\/\d\d\/\d{4}$/.test(text)
  const texts = programTexts(platform).filter((text) => ![version, FALLBACK_VENDOR, FALLBACK_DATE].includes(text))
  const [releaseDate = FALLBACK_DATE, otherDate] = texts.filter(isDate)
  const [vendor = FALLBACK_VENDOR, otherVendor] = texts.filter((text) => !isDate(text))
  return otherDate === undefined && otherVendor === undefined ? { vendor, version, releaseDate } : undefined
}

/** Each text of a module's program once. */
function programTexts(file: FirmwareFile): string[] {
  const programs = firmwareSections(file.content).filter(({ type }) => type === SECTION_PE32 || type === SECTION_TE)
  return [...new Set(programs.flatMap(({ content }) => utf16Texts(content)))]
}

/** Printable text in UTF-16 with its closing zero, at even offsets. */
function utf16Texts(bytes: Uint8Array): string[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const texts: string[] = []
  let text = ''
  for (let offset = 0; offset + 2 <= bytes.byteLength; offset += 2) {
    const unit = view.getUint16(offset, true)
    if (unit >= 0x20 && unit < 0x7f) {
      text += String.fromCharCode(unit)
      continue
    }
    if (unit === 0 && text.length >= MINIMUM_TEXT_LENGTH) texts.push(text)
    text = ''
  }
  return texts
}
