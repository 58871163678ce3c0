import { parseGuid, type SmbiosIdentity } from '../../../formats/index.ts'
import type { OvmfFirmware } from './ovmf.ts'

/** What the SMBIOS structure table of a machine of QEMU (q35) with OVMF depends on. */
export interface SmbiosFacts {
  /** What the machine says it is (`-smbios type=0` to `type=3`); QEMU's own values without. */
  readonly identity: Partial<Omit<SmbiosIdentity, 'oemStrings'>>
  /** `-uuid`. */
  readonly uuid: string
  /** `-smbios type=11`, in order. */
  readonly oemStrings: readonly string[]
  readonly memoryMiB: number
  readonly cores: number
  /** CPUID leaf 1 as the guest sees it: EAX, then EDX. See {@link tcgProcessorId}. */
  readonly processorId: Uint8Array
  /** The machine type behind `-machine q35`: `pc-q35-11.1` for QEMU 11.1. */
  readonly machineType: string
  /** Has to say something only where `identity` has no BIOS. */
  readonly bios: OvmfFirmware['bios']
}

const PRODUCT = 'Standard PC (Q35 + ICH9, 2009)'
const VENDOR = 'QEMU'
const CHASSIS_HANDLE = 0x300
const MEMORY_ARRAY_HANDLE = 0x1000
/** From here on q35 splits its memory in two, for which there is no record to compare with. */
const MAX_MEMORY_MIB = 2816
const MAX_CORES = 254
const HYPER_THREADING = 1 << 28

/** What `-cpu max` of TCG answers to CPUID leaf 1 (QEMU 11.1). */
export function tcgProcessorId(cores: number): Uint8Array {
  const id = Buffer.from('63060000fdfbcb0f', 'hex')
  if (cores > 1) id.writeUInt32LE((id.readUInt32LE(4) | HYPER_THREADING) >>> 0, 4)
  return id
}

/**
 * The SMBIOS structure table that an operating system finds in a machine of QEMU's q35 with OVMF, as
 * `/sys/firmware/dmi/tables/DMI` has it. Undefined for a machine that it cannot be known for here: with 2816 MiB of
 * memory or more, 255 cores or more, or with nothing known about its BIOS.
 *
 * Same as QEMU 11.1 for one socket without `-smbios` options but those of {@link SmbiosFacts}.
 */
export function machineSmbiosTable(facts: SmbiosFacts): Uint8Array | undefined {
  const { identity, memoryMiB, cores, machineType, bios, oemStrings } = facts
  if (memoryMiB >= MAX_MEMORY_MIB || cores > MAX_CORES || facts.processorId.byteLength !== 8) return undefined
  const hasOwnBios = isGiven(identity.bios)
  if (!hasOwnBios && bios === undefined) return undefined
  return Buffer.concat([
    // QEMU's comes first; OVMF adds its own only if there is none, behind all others.
    ...(hasOwnBios ? [biosStructure(identity.bios ?? {}, '000000000000 0014 0000 ffff')] : []),
    systemStructure(facts),
    ...(isGiven(identity.baseboard) ? [baseboardStructure(identity.baseboard ?? {}, machineType)] : []),
    chassisStructure(identity.chassis ?? {}, machineType),
    processorStructure(facts),
    ...(oemStrings.length === 0 ? [] : [structure(11, 0xe00, [oemStrings.length & 0xff], oemStrings)]),
    structure(16, MEMORY_ARRAY_HANDLE, [1, 3, 6, u32(memoryMiB * 1024), u16(0xfffe), u16(1), zeros(8)]),
    structure(
      17,
      0x1100,
      [u16(MEMORY_ARRAY_HANDLE), hex('feff ffff ffff'), u16(memoryMiB), hex('09 00 01 00 07 0200 0000 02'), zeros(16)],
      ['DIMM 0', VENDOR],
    ),
    structure(19, 0x1300, [u32(0), u32(memoryMiB * 1024 - 1), u16(MEMORY_ARRAY_HANDLE), 1, zeros(16)]),
    structure(32, 0x2000, [zeros(7)]),
    ...(hasOwnBios || bios === undefined ? [] : [biosStructure(bios, '000000000000 001c 0000 ffff 0000')]),
    structure(127, 0xfeff, []),
  ])
}

function biosStructure(bios: SmbiosIdentity['bios'], rest: string): Uint8Array {
  const strings = new StringSet()
  const vendor = strings.number(bios.vendor)
  const version = strings.number(bios.version)
  const releaseDate = strings.number(bios.releaseDate)
  // Starting segment 0xe800, no ROM size, characteristics "not supported"; then what each of the two says differently.
  return structure(0, 0, [vendor, version, u16(0xe800), releaseDate, hex('00 0800'), hex(rest)], strings.all)
}

function systemStructure({ identity, uuid, machineType }: SmbiosFacts): Uint8Array {
  const system = identity.system ?? {}
  const strings = new StringSet()
  const names = [system.manufacturer ?? VENDOR, system.productName ?? PRODUCT, system.version ?? machineType]
  const numbers = [...names, system.serialNumber].map((text) => strings.number(text))
  const tail = [system.skuNumber, system.family].map((text) => strings.number(text))
  const powerSwitch = 6
  return structure(1, 0x100, [...numbers, parseGuid(uuid), powerSwitch, ...tail], strings.all)
}

function baseboardStructure(baseboard: SmbiosIdentity['baseboard'], machineType: string): Uint8Array {
  const strings = new StringSet()
  const names = [baseboard.manufacturer ?? VENDOR, baseboard.product ?? PRODUCT, baseboard.version ?? machineType]
  const numbers = [...names, baseboard.serialNumber, baseboard.assetTag].map((text) => strings.number(text))
  // A hosting board, without location, in the chassis, a motherboard, without contained objects.
  return structure(2, 0x200, [...numbers, 1, 0, u16(CHASSIS_HANDLE), 10, 0], strings.all)
}

function chassisStructure(chassis: SmbiosIdentity['chassis'], machineType: string): Uint8Array {
  const strings = new StringSet()
  const manufacturer = strings.number(chassis.manufacturer ?? VENDOR)
  const version = strings.number(chassis.version ?? machineType)
  const serialNumber = strings.number(chassis.serialNumber)
  const assetTag = strings.number(chassis.assetTag)
  const other = 1
  const rest = [hex('03 03 03 02'), zeros(9)]
  return structure(3, CHASSIS_HANDLE, [manufacturer, other, version, serialNumber, assetTag, ...rest], strings.all)
}

function processorStructure({ processorId, cores, machineType }: SmbiosFacts): Uint8Array {
  return structure(
    4,
    0x400,
    // Socket 1, central processor of another family, manufacturer 2, version 3; 2000 MHz; no caches.
    [
      hex('01 03 fe 02'),
      processorId,
      hex('03 00 0000 d007 d007 41 01 ffff ffff ffff 000000'),
      [cores, cores, cores],
      hex('0200 0100'),
    ].flat(),
    ['CPU 0', VENDOR, machineType],
  )
}

/** Numbers strings from 1 as they come; what is absent has the number 0. */
class StringSet {
  readonly all: string[] = []

  number(text: string | undefined): number {
    if (text === undefined || text === '') return 0
    return this.all.push(text)
  }
}

/** A structure of these fields, each a byte or several. */
function structure(
  type: number,
  handle: number,
  fields: readonly (number | Uint8Array)[],
  strings: readonly string[] = [],
): Uint8Array {
  const body = Buffer.concat(fields.map((field) => (typeof field === 'number' ? Buffer.of(field) : field)))
  const set = strings.length === 0 ? '\0\0' : `${strings.join('\0')}\0\0`
  return Buffer.concat([Buffer.of(type, body.byteLength + 4), u16(handle), body, Buffer.from(set, 'utf8')])
}

/** Whether any field of a structure is given: QEMU makes some structures only then. */
function isGiven(part: object | undefined): boolean {
  return Object.values(part ?? {}).some((value) => value !== undefined)
}

function hex(text: string): Uint8Array {
  return Buffer.from(text.replaceAll(' ', ''), 'hex')
}

function u16(value: number): Uint8Array {
  return Buffer.of(value & 0xff, value >> 8)
}

function u32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

function zeros(length: number): Uint8Array {
  return new Uint8Array(length)
}
