import { ByteReader } from './byte-reader.ts'
import { diskRange, readDisk } from './disk-range.ts'
import { type FatEntry, parseFatDirectory } from './fat-directory.ts'
import type { DiskReader } from './gpt.ts'
import { malformed } from './malformed.ts'
import type { FileRange } from './pe.ts'

/** FAT16 and FAT12 have cluster numbers of that many bits; FAT32 uses 28 of its 32. */
export type FatKind = 'FAT12' | 'FAT16' | 'FAT32'

interface Geometry {
  readonly kind: FatKind
  readonly clusterBytes: number
  /** Clusters are numbered from 2 to this plus one. */
  readonly clusterCount: number
  readonly fatOffset: number
  readonly fatBytes: number
  readonly dataOffset: number
  /** Of FAT12 and FAT16: a fixed area. */
  readonly rootArea: { readonly offset: number; readonly size: number }
  /** Of FAT32: a chain like any other. */
  readonly rootCluster: number
}

const WHAT = 'FAT file system'
const FIRST_CLUSTER = 2
/** The format's own limit: 65,536 entries of 32 bytes. */
const MAX_DIRECTORY_BYTES = 2 * 1024 * 1024
const FAT_PAGE_BYTES = 64 * 1024

/**
 * A FAT12, FAT16 or FAT32 file system, read-only, with long names (Microsoft FAT specification 1.03; UEFI 13.3).
 *
 * Reads only what it is asked for, and the pages of the allocation table that lead there. Names are compared without
 * regard to case, as the firmware does. Whatever contradicts itself is `MALFORMED_INPUT` with its offset in the volume.
 */
export class FatVolume {
  readonly #disk: DiskReader
  readonly #geometry: Geometry
  readonly #pages = new Map<number, Uint8Array>()

  private constructor(disk: DiskReader, geometry: Geometry) {
    this.#disk = disk
    this.#geometry = geometry
  }

  /** @param disk the volume alone: a partition, see `diskRange()` */
  static open(disk: DiskReader): FatVolume {
    return new FatVolume(disk, readGeometry(disk))
  }

  get kind(): FatKind {
    return this.#geometry.kind
  }

  /** Files and directories of a directory in the order of the disk, without `.` and `..`; undefined if there is none. */
  list(path: string): readonly FatEntry[] | undefined {
    let entries = this.#root()
    for (const name of components(path)) {
      const entry = findName(entries, name)
      if (!entry?.isDirectory) return undefined
      entries = this.#directory(entry)
    }
    return entries
  }

  /** The file or directory at a path whose separators are `/` or `\`; undefined if there is none. */
  find(path: string): FatEntry | undefined {
    const names = components(path)
    const name = names.pop()
    return name === undefined ? undefined : findName(this.list(names.join('/')) ?? [], name)
  }

  /** The content of a file. A view if the disk is in memory and the file in one piece. */
  read(file: FatEntry): Uint8Array {
    const parts = this.ranges(file).map(({ offset, size }) =>
      readDisk(this.#disk, offset, size, WHAT, `content of ${file.name}`),
    )
    return parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts)
  }

  /** Where the content of a file lies in the volume, in order. */
  ranges(file: FatEntry): FileRange[] {
    const { clusterBytes } = this.#geometry
    if (file.size === 0) return []
    let left = file.size
    return this.#extents(file, Math.ceil(file.size / clusterBytes)).map(({ first, count }) => {
      const size = Math.min(left, count * clusterBytes)
      left -= size
      return { offset: this.#clusterOffset(first), size }
    })
  }

  #root(): readonly FatEntry[] {
    const { kind, rootArea, rootCluster } = this.#geometry
    if (kind === 'FAT32') return this.#directory({ name: 'root directory', firstCluster: rootCluster })
    const bytes = readDisk(this.#disk, rootArea.offset, rootArea.size, WHAT, 'root directory')
    return parseFatDirectory(bytes)
  }

  #directory(entry: Pick<FatEntry, 'name' | 'firstCluster'>): readonly FatEntry[] {
    const { clusterBytes } = this.#geometry
    const parts = this.#extents(entry, undefined).map(({ first, count }) =>
      readDisk(this.#disk, this.#clusterOffset(first), count * clusterBytes, WHAT, `directory ${entry.name}`),
    )
    return parseFatDirectory(parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts))
  }

  #clusterOffset(cluster: number): number {
    return this.#geometry.dataOffset + (cluster - FIRST_CLUSTER) * this.#geometry.clusterBytes
  }

  /** The clusters of a file in runs: exactly `needed` of them, or the whole chain of a directory. */
  #extents(entry: Pick<FatEntry, 'name' | 'firstCluster'>, needed: number | undefined) {
    const { clusterBytes, clusterCount } = this.#geometry
    const limit = needed ?? Math.ceil(MAX_DIRECTORY_BYTES / clusterBytes)
    const extents: { first: number; count: number }[] = []
    const seen = new Set<number>()
    const fail = (problem: string, cluster: number) =>
      malformed({ what: WHAT, field: `clusters of ${entry.name}`, offset: this.#fatEntryOffset(cluster) }, problem)
    let cluster: number | undefined = entry.firstCluster
    for (let count = 0; cluster !== undefined && count < limit; count++) {
      if (cluster < FIRST_CLUSTER || cluster >= clusterCount + FIRST_CLUSTER) {
        throw fail(`the chain leads to cluster ${cluster}, expected 2-${clusterCount + 1}`, FIRST_CLUSTER)
      }
      const last = extents.at(-1)
      // Within a run numbers rise, so that only the beginnings of runs can close a circle.
      if (last !== undefined && cluster === last.first + last.count) last.count++
      else {
        if (seen.has(cluster)) throw fail(`the chain comes back to cluster ${cluster}`, cluster)
        extents.push({ first: cluster, count: 1 })
      }
      seen.add(cluster)
      cluster = this.#next(cluster)
    }
    const found = extents.reduce((sum, { count }) => sum + count, 0)
    if (needed !== undefined && found < needed) {
      throw fail(`the file needs ${needed} clusters, the chain has ${found}`, entry.firstCluster)
    }
    if (needed === undefined && cluster !== undefined) {
      throw fail(`the directory has more than ${MAX_DIRECTORY_BYTES} bytes`, entry.firstCluster)
    }
    return extents
  }

  /** The cluster after this one; undefined at the end of the chain. */
  #next(cluster: number): number | undefined {
    const { kind } = this.#geometry
    const offset = this.#fatEntryOffset(cluster)
    if (kind === 'FAT32') {
      const value = (this.#fatByte(offset) | (this.#fatByte(offset + 1) << 8) | (this.#fatByte(offset + 2) << 16)) >>> 0
      const whole = value + (this.#fatByte(offset + 3) & 0x0f) * 2 ** 24
      return whole >= 0x0ffffff8 ? undefined : whole
    }
    const pair = this.#fatByte(offset) | (this.#fatByte(offset + 1) << 8)
    if (kind === 'FAT16') return pair >= 0xfff8 ? undefined : pair
    const value = cluster % 2 === 0 ? pair & 0xfff : pair >> 4
    return value >= 0xff8 ? undefined : value
  }

  #fatEntryOffset(cluster: number): number {
    const { kind, fatOffset } = this.#geometry
    if (kind === 'FAT12') return fatOffset + cluster + Math.floor(cluster / 2)
    return fatOffset + cluster * (kind === 'FAT16' ? 2 : 4)
  }

  #fatByte(offset: number): number {
    const { fatOffset, fatBytes } = this.#geometry
    const page = Math.floor((offset - fatOffset) / FAT_PAGE_BYTES)
    const start = page * FAT_PAGE_BYTES
    let bytes = this.#pages.get(page)
    if (bytes === undefined) {
      const length = Math.min(FAT_PAGE_BYTES, fatBytes - start)
      bytes = readDisk(this.#disk, fatOffset + start, length, WHAT, 'file allocation table')
      this.#pages.set(page, bytes)
    }
    const value = bytes[offset - fatOffset - start]
    if (value === undefined) {
      throw malformed({ what: WHAT, field: 'file allocation table', offset }, `ends before, it has ${fatBytes} bytes`)
    }
    return value
  }
}

function components(path: string): string[] {
  return path.split(/[\\/]/).filter((name) => name !== '')
}

function findName(entries: readonly FatEntry[], name: string): FatEntry | undefined {
  const wanted = name.toLowerCase()
  return (
    entries.find((entry) => entry.name.toLowerCase() === wanted) ??
    entries.find((entry) => entry.shortName.toLowerCase() === wanted)
  )
}

/** The BIOS parameter block. Cluster numbers are as wide as the number of clusters asks for, whatever the labels say. */
function readGeometry(disk: DiskReader): Geometry {
  const sector = readDisk(disk, 0, 512, WHAT, 'boot sector')
  const reader = new ByteReader(sector, WHAT)
  reader.seek(510, 'signature')
  if (reader.u16('signature') !== 0xaa55) throw reader.malformed('signature', 'expected 55 aa', 2)
  reader.seek(11, 'BytsPerSec')
  const sectorBytes = reader.u16('BytsPerSec')
  if (![512, 1024, 2048, 4096].includes(sectorBytes)) {
    throw reader.malformed('BytsPerSec', `expected 512-4096, found ${sectorBytes}`, 2)
  }
  const clusterSectors = reader.u8('SecPerClus')
  if (clusterSectors === 0 || (clusterSectors & (clusterSectors - 1)) !== 0) {
    throw reader.malformed('SecPerClus', `expected a power of two, found ${clusterSectors}`, 1)
  }
  const reservedSectors = reader.u16('RsvdSecCnt')
  const fatCount = reader.u8('NumFATs')
  if (reservedSectors === 0 || fatCount === 0) throw reader.malformed('NumFATs', 'there is no allocation table', 1)
  const rootEntries = reader.u16('RootEntCnt')
  const smallTotal = reader.u16('TotSec16')
  reader.u8('Media')
  const smallFat = reader.u16('FATSz16')
  reader.seek(32, 'TotSec32')
  const largeTotal = reader.u32('TotSec32')
  const largeFat = reader.u32('FATSz32')
  reader.seek(44, 'RootClus')
  const rootCluster = reader.u32('RootClus')

  const totalSectors = smallTotal === 0 ? largeTotal : smallTotal
  const fatSectors = smallFat === 0 ? largeFat : smallFat
  if (totalSectors * sectorBytes > disk.size) {
    throw malformed(
      { what: WHAT, field: 'TotSec32', offset: 32 },
      `${totalSectors} sectors of ${sectorBytes} bytes end beyond the volume of ${disk.size} bytes`,
    )
  }
  const rootSectors = Math.ceil((rootEntries * 32) / sectorBytes)
  const dataSector = reservedSectors + fatCount * fatSectors + rootSectors
  const clusterCount = Math.floor((totalSectors - dataSector) / clusterSectors)
  if (clusterCount < 1) {
    throw malformed(
      { what: WHAT, field: 'TotSec32', offset: 32 },
      `there is no room for data in ${totalSectors} sectors`,
    )
  }
  const kind = smallFat === 0 ? 'FAT32' : clusterCount < 4085 ? 'FAT12' : 'FAT16'
  const fatBytes = fatSectors * sectorBytes
  const bits = { FAT12: 12, FAT16: 16, FAT32: 32 }[kind]
  if (Math.ceil(((clusterCount + FIRST_CLUSTER) * bits) / 8) > fatBytes) {
    throw malformed(
      { what: WHAT, field: 'FATSz16', offset: 22 },
      `a table of ${fatBytes} bytes is too small for ${clusterCount} clusters`,
    )
  }
  return {
    kind,
    clusterBytes: clusterSectors * sectorBytes,
    clusterCount,
    fatOffset: reservedSectors * sectorBytes,
    fatBytes,
    dataOffset: dataSector * sectorBytes,
    rootArea: {
      offset: (reservedSectors + fatCount * fatSectors) * sectorBytes,
      size: rootSectors * sectorBytes,
    },
    rootCluster,
  }
}

/** Whether a partition begins with the boot sector of a FAT file system. */
export function isFat(disk: DiskReader): boolean {
  if (disk.size < 512) return false
  const start = diskRange(disk, 0, 512).read(0, 512)
  const text = Buffer.from(start).toString('latin1')
  return text.slice(54, 57) === 'FAT' || text.slice(82, 87) === 'FAT32'
}
