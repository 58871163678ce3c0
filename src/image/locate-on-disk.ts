import { createHash } from 'node:crypto'
import { mkdir, open, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { GptPartition } from '../formats/index.ts'
import { runUnchecked } from '../system/index.ts'
import type { Toolchain } from '../toolchain/index.ts'
import { checkDisk } from './outputs.ts'

/** Two disks that should be equal. */
export interface PairOfDisks {
  readonly one: string
  readonly other: string
  /** Of the first differing byte. */
  readonly offset: number
  readonly toolchain: Toolchain
  /** An existing directory for files taken from the disks. */
  readonly scratchDirectory: string
  readonly signal?: AbortSignal | undefined
}

/** The partition in which two disks differ first, and where its file system is known the file in it. */
export async function locateOnDisk(disks: PairOfDisks): Promise<string> {
  const gpt = checkDisk(disks.one)
  const { offset } = disks
  const partition = gpt.partitions.find((candidate) => offset >= candidate.offset && offset < end(candidate))
  if (partition === undefined) {
    const { sectorSize, header } = gpt
    if (offset < sectorSize) return 'the protective MBR'
    const copy = offset < header.firstUsableLba * sectorSize ? 'primary' : 'backup'
    const isHeader = [header.currentLba, header.alternateLba].includes(Math.floor(offset / sectorSize))
    if (copy === 'backup' && offset <= header.lastUsableLba * sectorSize) return 'unused space between partitions'
    return `the ${copy} GPT ${isHeader ? 'header' : 'partition entries'}`
  }
  const within = offset - partition.offset
  const place = `partition ${partition.number} (${partition.name}), byte ${within} of it`
  const inside = await locateInFileSystem(disks, partition, within).catch((error: unknown) => {
    disks.signal?.throwIfAborted()
    return `not looked into: ${(error as Error).message.split('\n', 1)[0]}`
  })
  return inside === undefined ? place : `${place}: ${inside}`
}

async function locateInFileSystem(
  disks: PairOfDisks,
  partition: GptPartition,
  within: number,
): Promise<string | undefined> {
  const start = await readBytes(disks.one, partition.offset, 4096)
  if (start.readUInt16LE(1024 + 56) === 0xef53) return locateInExt4(disks, partition, within, start)
  const isFat =
    ['FAT12   ', 'FAT16   '].includes(start.toString('latin1', 54, 62)) ||
    start.toString('latin1', 82, 90) === 'FAT32   '
  return isFat ? locateInFat(disks, partition) : undefined
}

/** Copies the files out of both file systems, which are small, and compares them. */
async function locateInFat(disks: PairOfDisks, partition: GptPartition): Promise<string> {
  const digests = async (disk: string, name: string): Promise<Map<string, string>> => {
    const directory = join(disks.scratchDirectory, name)
    await mkdir(directory)
    await query(disks, ['mcopy', '-s', '-Q', '-n', '-i', `${disk}@@${partition.offset}`, '::*', directory])
    return digestsBelow(directory)
  }
  const [first, second] = [await digests(disks.one, 'fat-1'), await digests(disks.other, 'fat-2')]
  for (const path of [...new Set([...first.keys(), ...second.keys()])].sort()) {
    if (!second.has(path)) return `file ${path} is only in the first`
    if (!first.has(path)) return `file ${path} is only in the second`
    if (first.get(path) !== second.get(path)) return `content of file ${path}`
  }
  return 'the files are equal, their times, places or the volume differ'
}

async function digestsBelow(directory: string): Promise<Map<string, string>> {
  const digests = new Map<string, string>()
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name)
    digests.set(
      path.slice(directory.length),
      createHash('sha256')
        .update(await readFile(path))
        .digest('hex'),
    )
  }
  return digests
}

async function locateInExt4(
  disks: PairOfDisks,
  partition: GptPartition,
  within: number,
  start: Buffer,
): Promise<string> {
  const blockSize = 1024 << start.readUInt32LE(1024 + 24)
  const block = Math.floor(within / blockSize)
  const device = `${disks.one}?offset=${partition.offset}`
  const debugfs = (request: string): Promise<string> => query(disks, ['debugfs', '-R', request, device])
  const owner = /^\d+\s+(\d+)$/m.exec(await debugfs(`icheck ${block}`))?.[1]
  if (owner !== undefined) return `content of ${await pathOf(owner, debugfs)}`
  const inode = inodeAt(await debugfs('stats'), within, blockSize)
  if (inode !== undefined) return `mode, owner, times or place of ${await pathOf(String(inode), debugfs)}`
  return within < 2048 && within >= 1024 ? 'the superblock' : `metadata of the file system, block ${block}`
}

async function pathOf(inode: string, debugfs: (request: string) => Promise<string>): Promise<string> {
  const path = /^\d+\s+(\/.*)$/m.exec(await debugfs(`ncheck ${inode}`))?.[1]
  return path?.replace(/^\/\//, '/') ?? `inode ${inode}`
}

/** The inode whose record lies there, from what `stats` of debugfs(8) tells of the block groups. */
function inodeAt(stats: string, within: number, blockSize: number): number | undefined {
  const inodeSize = Number(/^Inode size:\s+(\d+)/m.exec(stats)?.[1])
  const perGroup = Number(/^Inodes per group:\s+(\d+)/m.exec(stats)?.[1])
  for (const [, group, table] of stats.matchAll(/^ *Group +(\d+):.* inode table at (\d+)/gm)) {
    const index = Math.floor((within - Number(table) * blockSize) / inodeSize)
    if (index >= 0 && index < perGroup) return Number(group) * perGroup + index + 1
  }
  return undefined
}

async function query(disks: PairOfDisks, argv: readonly string[]): Promise<string> {
  const result = await runUnchecked(disks.toolchain.command(argv), { signal: disks.signal, timeoutMs: 120_000 })
  return result.stdout
}

async function readBytes(path: string, offset: number, length: number): Promise<Buffer> {
  await using file = await open(path)
  const bytes = Buffer.alloc(length)
  await file.read(bytes, 0, length, offset)
  return bytes
}

function end(partition: GptPartition): number {
  return partition.offset + partition.size
}
