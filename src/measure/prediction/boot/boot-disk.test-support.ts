import { crc32 } from 'node:zlib'
import { diskOf, type EfiVariable, parseGuid, parseSmbiosTable } from '../../../formats/index.ts'
import type { BootMachine } from './input.ts'

const SECTOR = 512

export type Files = Readonly<Record<string, Uint8Array | string>>

/** A PE32+ file of these sections, one after the other. */
export function peFile(
  sections: readonly (readonly [name: string, content: Uint8Array | string, virtualSize?: number])[],
  subsystem = 10,
): Buffer {
  const headerBytes = 4096
  const [peOffset, optional] = [0x80, 0x80 + 24]
  const header = Buffer.alloc(headerBytes)
  header.write('MZ')
  header.writeUInt32LE(peOffset, 0x3c)
  header.write('PE\0\0', peOffset)
  header.writeUInt16LE(0x8664, peOffset + 4)
  header.writeUInt16LE(sections.length, peOffset + 6)
  header.writeUInt16LE(240, peOffset + 20)
  header.writeUInt16LE(0x20b, optional)
  header.writeUInt32LE(headerBytes, optional + 60)
  header.writeUInt16LE(subsystem, optional + 68)
  header.writeUInt32LE(16, optional + 108)
  const parts: Buffer[] = [header]
  let [rawOffset, virtualAddress] = [headerBytes, headerBytes]
  for (const [index, [name, content, virtualSize]] of sections.entries()) {
    const bytes = Buffer.from(content as string)
    const raw = Buffer.concat([bytes, Buffer.alloc(-bytes.byteLength & (SECTOR - 1))])
    const at = optional + 240 + index * 40
    header.write(name, at)
    header.writeUInt32LE(virtualSize ?? bytes.byteLength, at + 8)
    header.writeUInt32LE(virtualAddress, at + 12)
    header.writeUInt32LE(raw.byteLength, at + 16)
    header.writeUInt32LE(rawOffset, at + 20)
    parts.push(raw)
    rawOffset += raw.byteLength
    virtualAddress += Math.ceil(Math.max(raw.byteLength, virtualSize ?? 0, 1) / 4096) * 4096
  }
  header.writeUInt32LE(virtualAddress, optional + 56)
  return Buffer.concat(parts)
}

const magic = (program: string, version: number): string => `#### LoaderInfo: systemd-${program} ${version}-1 ####`

/** systemd-boot as far as it is looked at. */
export function loader(version = 262): Buffer {
  return peFile([
    ['.text', 'loader'],
    ['.sdmagic', magic('boot', version)],
  ])
}

export interface Uki {
  readonly version?: number
  readonly osRelease?: string
  readonly commandLine?: string
  readonly initrd?: Uint8Array | string
  readonly more?: readonly (readonly [name: string, content: Uint8Array | string, virtualSize?: number])[]
}

export const OS_RELEASE = 'ID=debian\nIMAGE_ID=test\nIMAGE_VERSION=1\nPRETTY_NAME="Test 1"\n'

export function uki({
  version = 262,
  osRelease = OS_RELEASE,
  commandLine = 'console=ttyS0 quiet',
  initrd = 'INITRD!',
  more = [],
}: Uki = {}): Buffer {
  return peFile([
    ['.text', 'stub'],
    ['.sdmagic', magic('stub', version)],
    ['.osrel', osRelease],
    ...(commandLine === '' ? [] : ([['.cmdline', commandLine]] as const)),
    ['.uname', '7.2.0'],
    ['.initrd', initrd],
    ['.linux', 'KERNEL'],
    ...more,
  ])
}

export interface DiskShape {
  readonly esp: Files
  readonly xbootldr?: Files
  /** What the root partition holds; none without it. */
  readonly root?: 'ext4' | 'luks' | 'nothing'
}

export const ROOT_WORD =
  'file-system:/:ext4:53eae397-9117-4261-bea7-121c7f586d4e:my\\x3aroot:00000000-0000-4000-8000-000000000002:4f68bce3-e8cd-4db1-96e7-fbcaf984b709:root-x86-64'

/** A disk with a GPT, an ESP, and other partitions that a boot looks at. */
export function bootDisk({ esp, xbootldr, root }: DiskShape): Buffer {
  const partitions: { type: string; content: Buffer; name: string }[] = [
    { type: 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b', content: fatVolume(esp), name: 'esp' },
  ]
  if (root !== undefined) {
    partitions.push({ type: '4f68bce3-e8cd-4db1-96e7-fbcaf984b709', content: rootContent(root), name: 'root-x86-64' })
  }
  if (xbootldr !== undefined) {
    partitions.push({ type: 'bc13c2ff-59e6-4262-a352-b275fd6f7172', content: fatVolume(xbootldr), name: 'xbootldr' })
  }
  const first = 34
  const sectors = first + partitions.reduce((sum, { content }) => sum + content.byteLength / SECTOR, 0) + 33
  const disk = Buffer.alloc(sectors * SECTOR)
  const array = Buffer.alloc(128 * 128)
  let lba = first
  for (const [index, { type, content, name }] of partitions.entries()) {
    disk.set(content, lba * SECTOR)
    const last = lba + content.byteLength / SECTOR - 1
    const entry = array.subarray(index * 128, (index + 1) * 128)
    entry.set(parseGuid(type))
    entry.set(parseGuid(`00000000-0000-4000-8000-00000000000${index + 1}`), 16)
    entry.writeBigUInt64LE(BigInt(lba), 32)
    entry.writeBigUInt64LE(BigInt(last), 40)
    entry.write(name, 56, 'utf16le')
    lba = last + 1
  }
  for (const [current, alternate, arrayLba] of [
    [1, sectors - 1, 2],
    [sectors - 1, 1, sectors - 33],
  ] as const) {
    const header = disk.subarray(current * SECTOR, current * SECTOR + 92)
    header.write('EFI PART')
    header.writeUInt32LE(0x10000, 8)
    header.writeUInt32LE(92, 12)
    header.writeBigUInt64LE(BigInt(current), 24)
    header.writeBigUInt64LE(BigInt(alternate), 32)
    header.writeBigUInt64LE(BigInt(first), 40)
    header.writeBigUInt64LE(BigInt(sectors - 34), 48)
    header.writeBigUInt64LE(BigInt(arrayLba), 72)
    header.writeUInt32LE(128, 80)
    header.writeUInt32LE(128, 84)
    header.writeUInt32LE(crc32(array), 88)
    header.writeUInt32LE(crc32(header), 16)
    disk.set(array, arrayLba * SECTOR)
  }
  return disk
}

function rootContent(kind: 'ext4' | 'luks' | 'nothing'): Buffer {
  const content = Buffer.alloc(8192)
  if (kind === 'luks') content.write('LUKS\xba\xbe', 'latin1')
  if (kind !== 'ext4') return content
  content.writeUInt16LE(0xef53, 1024 + 0x38)
  content.writeUInt32LE(0x40, 1024 + 0x60)
  content.set(Buffer.from('53eae39791174261bea7121c7f586d4e', 'hex'), 1024 + 0x68)
  content.write('my:root', 1024 + 0x78)
  return content
}

/** A FAT16 volume with clusters of one sector, every name a long one, files in one piece. */
function fatVolume(files: Files): Buffer {
  const [fatSectors, rootSectors, clusters] = [17, 16, 4_200]
  const dataSector = 1 + fatSectors + rootSectors
  const image = Buffer.alloc((dataSector + clusters) * SECTOR)
  image.writeUInt16LE(SECTOR, 11)
  image.writeUInt8(1, 13)
  image.writeUInt16LE(1, 14)
  image.writeUInt8(1, 16)
  image.writeUInt16LE((rootSectors * SECTOR) / 32, 17)
  image.writeUInt16LE(image.byteLength / SECTOR, 19)
  image.writeUInt16LE(fatSectors, 22)
  image.write('FAT16   ', 54)
  image.writeUInt16LE(0xaa55, 510)
  let cluster = 2
  const store = (bytes: Uint8Array): number => {
    const [start, count] = [cluster, Math.max(1, Math.ceil(bytes.byteLength / SECTOR))]
    image.set(bytes, (dataSector + start - 2) * SECTOR)
    cluster += count
    for (let at = start; at < cluster; at++) image.writeUInt16LE(at + 1 === cluster ? 0xffff : at + 1, SECTOR + at * 2)
    return start
  }
  const storeDirectory = (prefix: string): Buffer => {
    const below = Object.keys(files).filter((path) => path.startsWith(prefix))
    const names = [...new Set(below.map((path) => path.slice(prefix.length).split('/')[0] ?? ''))]
    return Buffer.concat(
      names.flatMap((name, index) => {
        const content = files[prefix + name]
        const bytes = content === undefined ? storeDirectory(`${prefix}${name}/`) : Buffer.from(content as string)
        const size = content === undefined ? 0 : bytes.byteLength
        return directoryEntries(name, index, content === undefined ? 0x10 : 0x20, store(bytes), size)
      }),
    )
  }
  image.set(storeDirectory(''), (1 + fatSectors) * SECTOR)
  return image
}

function directoryEntries(name: string, index: number, attributes: number, cluster: number, size: number): Buffer[] {
  const short = `FILE~${index}`.padEnd(11)
  const checksum = [...Buffer.from(short)].reduce((sum, byte) => (((sum & 1) << 7) + (sum >> 1) + byte) & 0xff, 0)
  const count = Math.ceil(name.length / 13)
  const characters = Buffer.alloc(count * 26)
  characters.write(name, 'utf16le')
  const long = Array.from({ length: count }, (_, position) => {
    const ordinal = count - position
    const piece = characters.subarray((ordinal - 1) * 26, ordinal * 26)
    const entry = Buffer.alloc(32)
    entry.writeUInt8(position === 0 ? ordinal | 0x40 : ordinal, 0)
    entry.set(piece.subarray(0, 10), 1)
    entry.writeUInt8(0x0f, 11)
    entry.writeUInt8(checksum, 13)
    entry.set(piece.subarray(10, 22), 14)
    entry.set(piece.subarray(22, 26), 28)
    return entry
  })
  const entry = Buffer.alloc(32)
  entry.write(short)
  entry.writeUInt8(attributes, 11)
  entry.writeUInt16LE(cluster, 26)
  entry.writeUInt32LE(size, 28)
  return [...long, entry]
}

export const UUID = 'b0070000-1111-4222-8333-444444444444'

/** Structures of types 1 and, with strings, 11. */
export function smbiosTable(strings: readonly string[] = []): Buffer {
  const system = Buffer.alloc(27)
  system.set([1, 27, 0, 1])
  system.set(parseGuid(UUID), 8)
  system[24] = 6
  const oem = Buffer.of(11, 5, 0, 0x0e, strings.length)
  const end = Buffer.of(127, 4, 0, 0, 0, 0)
  const set = Buffer.from(`${strings.map((text) => `${text}\0`).join('')}\0`)
  return Buffer.concat([system, Buffer.alloc(2), ...(strings.length === 0 ? [] : [oem, set]), end])
}

/** A variable of systemd's vendor. */
export function loaderVariable(name: string, data: Uint8Array | string, attributes = 3): EfiVariable {
  return {
    name,
    vendorGuid: '4a67b082-0a4c-41cf-b6c7-440b29bb8c4f',
    attributes,
    data: typeof data === 'string' ? Buffer.from(`${data}\0`, 'utf16le') : data,
    monotonicCount: 0n,
    timestamp: new Uint8Array(16),
    publicKeyIndex: 0,
  }
}

/** A machine without a random seed, so that nothing in it is unknown. */
export function machineWith(
  shape: DiskShape,
  more: Partial<BootMachine> & { strings?: readonly string[] } = {},
): BootMachine {
  const { strings, ...rest } = more
  return {
    disk: diskOf(bootDisk(shape)),
    variables: [],
    smbios: parseSmbiosTable(smbiosTable(strings)),
    isSecureBootEnabled: false,
    offersRandomSeed: false,
    consoles: { serialPort: 0, virtioConsoles: 0, hasGraphics: false },
    ...rest,
  }
}
