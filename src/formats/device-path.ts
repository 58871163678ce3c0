import { ByteReader } from './byte-reader.ts'
import { parseGuid } from './guid.ts'
import { malformed } from './malformed.ts'

/** One node of a device path (UEFI 10.2). */
export interface DevicePathNode {
  readonly type: number
  readonly subType: number
  /** What follows the four bytes of the node's header. */
  readonly data: Uint8Array
  /** Offset of the node in the whole input. */
  readonly offset: number
}

/** Types of nodes. */
const HARDWARE_PATH = 1
const ACPI_PATH = 2
const MESSAGING_PATH = 3
const MEDIA_PATH = 4
const BBS_PATH = 5
const END_PATH = 0x7f
const END_ENTIRE = 0xff

const WHAT = 'EFI device path'
const NODE_HEADER_SIZE = 4
/** Real paths have less than ten; a path that describes each node in text has to end somewhere. */
const MAX_NODES = 1024

/**
 * Reads a device path up to and including its end; the nodes that end an instance are among the result, the one that
 * ends the path is not. Nothing is copied. Bytes behind the end are left alone.
 */
export function parseDevicePath(bytes: Uint8Array, base = 0): DevicePathNode[] {
  const reader = new ByteReader(bytes, WHAT, base)
  const nodes: DevicePathNode[] = []
  for (;;) {
    const offset = reader.offset
    const type = reader.u8('Type')
    const subType = reader.u8('SubType')
    const length = reader.u16('Length')
    if (length < NODE_HEADER_SIZE) throw reader.malformed('Length', `is ${length}, expected at least 4`, 2)
    const data = reader.bytes(length - NODE_HEADER_SIZE, 'node')
    if (type === END_PATH && subType === END_ENTIRE) return nodes
    if (nodes.length === MAX_NODES) throw reader.malformed('Type', `begins node ${MAX_NODES + 1} of one path`)
    nodes.push({ type, subType, data, offset })
  }
}

/** A device path of these nodes, with its end. */
export function writeDevicePath(nodes: readonly Pick<DevicePathNode, 'type' | 'subType' | 'data'>[]): Uint8Array {
  const end = { type: END_PATH, subType: END_ENTIRE, data: new Uint8Array() }
  return Buffer.concat(
    [...nodes, end].flatMap(({ type, subType, data }) => {
      const length = NODE_HEADER_SIZE + data.byteLength
      if (length > 0xffff) {
        throw malformed({ what: WHAT, field: 'Length', offset: 0 }, `is ${length}, more than a node can have`)
      }
      return [Buffer.of(type, subType, length & 0xff, length >> 8), data]
    }),
  )
}

/** `PciRoot(uid)`: a PCI root bridge. */
export function pciRootNode(uid: number): Pick<DevicePathNode, 'type' | 'subType' | 'data'> {
  const data = Buffer.alloc(8)
  data.writeUInt32LE(EISA_ID | (PCI_ROOT << 16), 0)
  data.writeUInt32LE(uid, 4)
  return { type: ACPI_PATH, subType: 1, data }
}

/** `Pci(device,function)`. */
export function pciNode(device: number, pciFunction: number): Pick<DevicePathNode, 'type' | 'subType' | 'data'> {
  return { type: HARDWARE_PATH, subType: 1, data: Uint8Array.of(pciFunction, device) }
}

/** `Fv(name)`: a firmware volume. */
export function firmwareVolumeNode(name: string): Pick<DevicePathNode, 'type' | 'subType' | 'data'> {
  return { type: MEDIA_PATH, subType: 7, data: parseGuid(name) }
}

/** `FvFile(name)`: a file of a firmware volume. */
export function firmwareFileNode(name: string): Pick<DevicePathNode, 'type' | 'subType' | 'data'> {
  return { type: MEDIA_PATH, subType: 6, data: parseGuid(name) }
}

/**
 * A device path as text, as EDK2 prints it: `PciRoot(0x0)/Pci(0x1,0x0)/HD(1,GPT,…)/\EFI\BOOT\BOOTX64.EFI`. Nodes without
 * a form of their own here are printed as their type, subtype and bytes, a form that EDK2 has too.
 */
export function formatDevicePath(nodes: readonly DevicePathNode[]): string {
  let text = ''
  for (const node of nodes) {
    if (node.type === END_PATH) {
      text += ','
      continue
    }
    if (text !== '' && !text.endsWith(',')) text += '/'
    text += formatNode(node)
  }
  return text
}

/** Compressed "PNP" in the lower half of an EISA ID. */
const EISA_ID = 0x41d0
const PCI_ROOT = 0x0a03
const ACPI_NAMES: ReadonlyMap<number, string> = new Map([
  [PCI_ROOT, 'PciRoot'],
  [0x0a08, 'PcieRoot'],
  [0x0604, 'Floppy'],
  [0x0301, 'Keyboard'],
  [0x0501, 'Serial'],
  [0x0401, 'ParallelPort'],
])

type Format = (node: ByteReader) => string

/** By type, then by subtype. */
const FORMATS: Readonly<Record<number, Readonly<Record<number, Format>>>> = {
  [HARDWARE_PATH]: {
    1: (node) => {
      const pciFunction = node.u8('Function')
      return `Pci(${hex(node.u8('Device'))},${hex(pciFunction)})`
    },
    3: (node) =>
      `MemoryMapped(${hex(node.u32('MemoryType'))},${hex(node.u64('StartAddress'))},${hex(node.u64('EndAddress'))})`,
    4: vendor('VenHw'),
    5: (node) => `Ctrl(${hex(node.u32('ControllerNumber'))})`,
  },
  [ACPI_PATH]: {
    1: (node) => {
      const hid = node.u32('HID')
      const uid = hex(node.u32('UID'))
      const name = ACPI_NAMES.get(hid >>> 16)
      if ((hid & 0xffff) !== EISA_ID) return `Acpi(0x${digits(hid, 8)},${uid})`
      return name === undefined ? `Acpi(PNP${digits(hid >>> 16, 4)},${uid})` : `${name}(${uid})`
    },
    3: (node) => {
      const addresses = [hex(node.u32('ADR'))]
      while (node.remaining >= 4) addresses.push(hex(node.u32('ADR')))
      return `AcpiAdr(${addresses.join(',')})`
    },
  },
  [MESSAGING_PATH]: {
    1: (node) => {
      const controller = node.u8('PrimarySecondary') === 1 ? 'Secondary' : 'Primary'
      const drive = node.u8('SlaveMaster') === 1 ? 'Slave' : 'Master'
      return `Ata(${controller},${drive},${hex(node.u16('Lun'))})`
    },
    2: (node) => `Scsi(${hex(node.u16('Pun'))},${hex(node.u16('Lun'))})`,
    5: (node) => `USB(${hex(node.u8('ParentPortNumber'))},${hex(node.u8('InterfaceNumber'))})`,
    10: vendor('VenMsg'),
    11: (node) => {
      const address = node.bytes(32, 'MacAddress')
      const kind = node.u8('IfType')
      return `MAC(${hexOf(address.subarray(0, kind <= 1 ? 6 : 32))},${hex(kind)})`
    },
    12: formatIpv4,
    13: formatIpv6,
    18: (node) =>
      `Sata(${hex(node.u16('HBAPortNumber'))},${hex(node.u16('PortMultiplierPortNumber'))},${hex(node.u16('Lun'))})`,
    20: (node) => `Vlan(${node.u16('VlanId')})`,
    23: (node) => {
      const namespaceId = hex(node.u32('NamespaceId'))
      const eui = Uint8Array.from(node.bytes(8, 'NamespaceUuid')).reverse()
      return `NVMe(${namespaceId},${[...eui].map((byte) => digits(byte, 2)).join('-')})`
    },
    24: (node) => `Uri(${Buffer.from(node.rest()).toString('utf8')})`,
    26: (node) => `SD(${hex(node.u8('SlotNumber'))})`,
    29: (node) => `eMMC(${hex(node.u8('SlotNumber'))})`,
  },
  [MEDIA_PATH]: {
    1: formatHardDrive,
    2: (node) =>
      `CDROM(${hex(node.u32('BootEntry'))},${hex(node.u64('PartitionStart'))},${hex(node.u64('PartitionSize'))})`,
    3: vendor('VenMedia'),
    4: (node) => Buffer.from(node.rest()).toString('utf16le').split('\0', 1)[0] ?? '',
    5: (node) => `Media(${guid(node)})`,
    6: (node) => `FvFile(${guid(node)})`,
    7: (node) => `Fv(${guid(node)})`,
    8: (node) => {
      node.u32('Reserved')
      return `Offset(${hex(node.u64('StartingOffset'))},${hex(node.u64('EndingOffset'))})`
    },
  },
  [BBS_PATH]: {
    1: (node) => {
      const type = node.u16('DeviceType')
      const status = hex(node.u16('StatusFlag'))
      const name = ['Floppy', 'Harddrive', 'CDROM', 'PCMCIA', 'USB', 'Network'][type - 1] ?? hex(type)
      return `BBS(${name},${Buffer.from(node.rest()).toString('latin1').split('\0', 1)[0]},${status})`
    },
  },
}

const GENERIC_NAMES: Readonly<Record<number, string>> = {
  [HARDWARE_PATH]: 'HardwarePath',
  [ACPI_PATH]: 'AcpiPath',
  [MESSAGING_PATH]: 'Msg',
  [MEDIA_PATH]: 'MediaPath',
  [BBS_PATH]: 'BbsPath',
}

function formatNode(node: DevicePathNode): string {
  const format = FORMATS[node.type]?.[node.subType]
  if (format !== undefined) return format(new ByteReader(node.data, WHAT, node.offset + NODE_HEADER_SIZE))
  const name = GENERIC_NAMES[node.type]
  const prefix = name === undefined ? `Path(${node.type},${node.subType}` : `${name}(${node.subType}`
  return node.data.byteLength === 0 ? `${prefix})` : `${prefix},${hexOf(node.data)})`
}

function formatHardDrive(node: ByteReader): string {
  const number = node.u32('PartitionNumber')
  const start = hex(node.u64('PartitionStart'))
  const size = hex(node.u64('PartitionSize'))
  const signature = node.part(16, 'Signature')
  node.u8('MBRType')
  const type = node.u8('SignatureType')
  if (type === 1) return `HD(${number},MBR,0x${digits(signature.u32('Signature'), 8)},${start},${size})`
  if (type === 2) return `HD(${number},GPT,${guid(signature)},${start},${size})`
  return `HD(${number},${type},0,${start},${size})`
}

function formatIpv4(node: ByteReader): string {
  const local = node.bytes(4, 'LocalIpAddress').join('.')
  const remote = node.bytes(4, 'RemoteIpAddress').join('.')
  node.u16('LocalPort')
  node.u16('RemotePort')
  const protocol = transport(node.u16('Protocol'))
  const origin = node.u8('StaticIpAddress') === 1 ? 'Static' : 'DHCP'
  const fields = [remote, protocol, origin, local]
  if (node.remaining >= 8) {
    const gateway = node.bytes(4, 'GatewayIpAddress').join('.')
    fields.push(gateway, node.bytes(4, 'SubnetMask').join('.'))
  }
  return `IPv4(${fields.join(',')})`
}

function formatIpv6(node: ByteReader): string {
  const local = ipv6(node.bytes(16, 'LocalIpAddress'))
  const remote = ipv6(node.bytes(16, 'RemoteIpAddress'))
  node.u16('LocalPort')
  node.u16('RemotePort')
  const protocol = transport(node.u16('Protocol'))
  const origin = ['Static', 'StatelessAutoConfigure'][node.u8('IpAddressOrigin')] ?? 'StatefulAutoConfigure'
  const fields = [remote, protocol, origin, local]
  if (node.remaining >= 17) {
    const prefix = hex(node.u8('PrefixLength'))
    fields.push(prefix, ipv6(node.bytes(16, 'GatewayIpAddress')))
  }
  return `IPv6(${fields.join(',')})`
}

function ipv6(address: Uint8Array): string {
  return Array.from({ length: 8 }, (_, index) => hexOf(address.subarray(index * 2, index * 2 + 2))).join(':')
}

function transport(protocol: number): string {
  return { 6: 'TCP', 17: 'UDP' }[protocol] ?? hex(protocol)
}

function vendor(name: string): Format {
  return (node) => {
    const id = guid(node)
    return node.remaining === 0 ? `${name}(${id})` : `${name}(${id},${hexOf(node.rest())})`
  }
}

function guid(node: ByteReader): string {
  return node.guid('GUID').toUpperCase()
}

function hex(value: number | bigint): string {
  return `0x${value.toString(16).toUpperCase()}`
}

function digits(value: number, width: number): string {
  return value.toString(16).toUpperCase().padStart(width, '0')
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex').toUpperCase()
}
