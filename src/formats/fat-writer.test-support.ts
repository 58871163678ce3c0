import type { FatKind } from './index.ts'

export interface FatShape {
  kind?: FatKind
  /** Each file has every second cluster. */
  isScattered?: boolean
}

const SECTOR = 512
/** Clusters of one sector: few enough, or enough, for the kind. FAT32 is told by its empty FATSz16, not by their number. */
const CLUSTERS = { FAT12: 400, FAT16: 4_200, FAT32: 4_200 }
const BITS = { FAT12: 12, FAT16: 16, FAT32: 32 }
const ROOT_ENTRIES = 64

interface Directory {
  readonly [name: string]: Directory | Uint8Array
}

/** A FAT volume with these files, every structure written field by field. Names that are no 8.3 names get a long one. */
export function fatImage(files: Readonly<Record<string, Uint8Array>>, shape: FatShape = {}): Buffer {
  const { kind = 'FAT16', isScattered = false } = shape
  const isLarge = kind === 'FAT32'
  const reserved = isLarge ? 32 : 1
  const fatSectors = Math.ceil(((CLUSTERS[kind] + 2) * BITS[kind]) / 8 / SECTOR)
  const rootSectors = isLarge ? 0 : (ROOT_ENTRIES * 32) / SECTOR
  const dataSector = reserved + 2 * fatSectors + rootSectors
  const image = Buffer.alloc((dataSector + CLUSTERS[kind]) * SECTOR)
  writeBootSector(image, kind, reserved, fatSectors)

  const chains = new Map<number, number>()
  let nextCluster = isLarge ? 3 : 2
  const store = (bytes: Uint8Array, first?: number): number => {
    const count = Math.max(1, Math.ceil(bytes.byteLength / SECTOR))
    let previous: number | undefined
    let start = 0
    for (let index = 0; index < count; index++) {
      const cluster = index === 0 && first !== undefined ? first : nextCluster
      if (cluster === nextCluster) nextCluster += isScattered ? 2 : 1
      image.set(bytes.subarray(index * SECTOR, (index + 1) * SECTOR), (dataSector + cluster - 2) * SECTOR)
      if (previous === undefined) start = cluster
      else chains.set(previous, cluster)
      chains.set(cluster, -1)
      previous = cluster
    }
    return start
  }
  const storeDirectory = (directory: Directory): Buffer =>
    Buffer.concat(
      Object.entries(directory).flatMap(([name, content], index) => {
        if (!(content instanceof Uint8Array)) return entries(name, index, 0x10, store(storeDirectory(content)), 0)
        const cluster = content.byteLength === 0 ? 0 : store(content)
        return entries(name, index, 0x20, cluster, content.byteLength)
      }),
    )
  const label = shortEntry('TESTVOLUME ', 0x08, 0, 0)
  const root = Buffer.concat([label, storeDirectory(tree(files))])
  if (isLarge) store(root, 2)
  else image.set(root, (reserved + 2 * fatSectors) * SECTOR)
  for (const copy of [0, 1]) {
    const table = image.subarray((reserved + copy * fatSectors) * SECTOR)
    for (const [cluster, next] of chains) writeTableEntry(table, kind, cluster, next)
  }
  return image
}

function tree(files: Readonly<Record<string, Uint8Array>>): Directory {
  const root: Record<string, Directory | Uint8Array> = {}
  for (const [path, content] of Object.entries(files)) {
    const names = path.split('/')
    const last = names.pop() ?? ''
    let directory: Record<string, Directory | Uint8Array> = root
    for (const name of names) {
      directory[name] ??= {}
      directory = directory[name] as Record<string, Directory | Uint8Array>
    }
    directory[last] = content
  }
  return root
}

function writeBootSector(image: Buffer, kind: FatKind, reserved: number, fatSectors: number): void {
  const sectors = image.byteLength / SECTOR
  image.write('mkfs.fat', 3)
  image.writeUInt16LE(SECTOR, 11)
  image.writeUInt8(1, 13)
  image.writeUInt16LE(reserved, 14)
  image.writeUInt8(2, 16)
  image.writeUInt16LE(kind === 'FAT32' ? 0 : ROOT_ENTRIES, 17)
  image.writeUInt16LE(kind === 'FAT32' ? 0 : sectors, 19)
  image.writeUInt8(0xf8, 21)
  if (kind === 'FAT32') {
    image.writeUInt32LE(sectors, 32)
    image.writeUInt32LE(fatSectors, 36)
    image.writeUInt32LE(2, 44)
    image.write('FAT32   ', 82)
  } else {
    image.writeUInt16LE(fatSectors, 22)
    image.write(`${kind}   `, 54)
  }
  image.writeUInt16LE(0xaa55, 510)
}

function writeTableEntry(table: Buffer, kind: FatKind, cluster: number, next: number): void {
  if (kind === 'FAT32') table.writeUInt32LE(next === -1 ? 0x0fffffff : next, cluster * 4)
  else if (kind === 'FAT16') table.writeUInt16LE(next === -1 ? 0xffff : next, cluster * 2)
  else {
    const at = cluster + Math.floor(cluster / 2)
    const value = next === -1 ? 0xfff : next
    const before = table.readUInt16LE(at)
    table.writeUInt16LE(cluster % 2 === 0 ? (before & 0xf000) | value : (before & 0x000f) | (value << 4), at)
  }
}

function entries(name: string, index: number, attributes: number, cluster: number, size: number): Buffer[] {
  const [base = '', extension = ''] = name.split('.')
  const isShort = /^[A-Z0-9]{1,8}(\.[A-Z0-9]{1,3})?$/.test(name)
  const isLower = /^[a-z0-9]{1,8}$/.test(name)
  const ascii = name.replaceAll(/[^a-zA-Z0-9-]/g, '').toUpperCase()
  const short = isShort
    ? base.padEnd(8) + extension.padEnd(3)
    : isLower
      ? base.toUpperCase().padEnd(11)
      : `${ascii.slice(0, 6)}~${index + 1}`.padEnd(8) +
        name
          .slice(name.lastIndexOf('.') + 1)
          .toUpperCase()
          .slice(0, 3)
  const entry = shortEntry(short, attributes, cluster, size)
  if (isLower) entry[12] = 0x08
  return isShort || isLower ? [entry] : [...longEntries(name, short), entry]
}

function shortEntry(short: string, attributes: number, cluster: number, size: number): Buffer {
  const entry = Buffer.alloc(32)
  entry.write(short, 0, 11, 'latin1')
  entry.writeUInt8(attributes, 11)
  entry.writeUInt16LE(cluster >>> 16, 20)
  entry.writeUInt16LE(cluster & 0xffff, 26)
  entry.writeUInt32LE(size, 28)
  return entry
}

function longEntries(name: string, short: string): Buffer[] {
  const checksum = [...Buffer.from(short, 'latin1')].reduce(
    (sum, byte) => (((sum & 1) << 7) + (sum >> 1) + byte) & 0xff,
    0,
  )
  const count = Math.ceil(name.length / 13)
  const characters = Buffer.alloc(count * 26, 0xff)
  characters.write(name.length % 13 === 0 ? name : `${name}\0`, 'utf16le')
  return Array.from({ length: count }, (_, index) => {
    const ordinal = count - index
    const piece = characters.subarray((ordinal - 1) * 26, ordinal * 26)
    const entry = Buffer.alloc(32)
    entry.writeUInt8(index === 0 ? ordinal | 0x40 : ordinal, 0)
    entry.set(piece.subarray(0, 10), 1)
    entry.writeUInt8(0x0f, 11)
    entry.writeUInt8(checksum, 13)
    entry.set(piece.subarray(10, 22), 14)
    entry.set(piece.subarray(22, 26), 28)
    return entry
  })
}
