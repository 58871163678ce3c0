import { closeSync, constants, openSync, writeSync } from 'node:fs'
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { crc32 } from 'node:zlib'
import { diskRange, FatVolume, parseGpt, parsePe } from '../../src/formats/index.ts'
import { type DiskFile, diskFile, run } from '../../src/system/index.ts'
import { cacheDirectory } from '../../src/toolchain/index.ts'
import { tools } from './scene.ts'

/** The primary header of a GPT: where it is, and in it its checksum, the GUID of the disk, and the entries (UEFI 5.3.2). */
const HEADER = {
  offset: 512,
  bytes: 92,
  checksum: 16,
  diskGuid: 56,
  entriesBlock: 72,
  count: 80,
  size: 84,
  entries: 88,
}
const ENTRY_NAME = 56

/** A copy of an image's disk, to be altered byte by byte. */
export class AlteredDisk implements AsyncDisposable {
  readonly directory: string
  readonly path: string
  readonly #file: number
  readonly #disk: DiskFile

  private constructor(directory: string, path: string) {
    this.directory = directory
    this.path = path
    this.#file = openSync(path, 'r+')
    this.#disk = diskFile(this.#file)
  }

  static async copyOf({ diskPath }: { readonly diskPath: string }): Promise<AlteredDisk> {
    const directory = await mkdtemp(join(cacheDirectory(), 'altered-'))
    const path = join(directory, 'disk.raw')
    await copyFile(diskPath, path, constants.COPYFILE_FICLONE)
    return new AlteredDisk(directory, path)
  }

  /** Another bit in the byte there. Twice, and it is as it was. */
  flip(position: number): void {
    const byte = this.#disk.read(position, 1)
    byte[0] = (byte[0] ?? 0) ^ 1
    writeSync(this.#file, byte, 0, 1, position)
  }

  /** The names of the sections of a UKI on the ESP that have bytes. */
  sections(ukiPath: string): string[] {
    const { pe } = this.#uki(ukiPath)
    return pe.sections.filter(({ rawSize }) => rawSize > 0).map(({ name }) => name)
  }

  /** Where a byte of one lies on the disk. */
  place(ukiPath: string, section: string, byte: 'middle' | 'last' = 'middle'): number {
    const { pe, offset, ranges } = this.#uki(ukiPath)
    const found = pe.sections.find(({ name }) => name === section)
    if (found === undefined) throw new Error(`${ukiPath} has no section ${section}`)
    const size = Math.min(found.rawSize, found.virtualSize)
    let left = found.rawOffset + (byte === 'last' ? size - 1 : Math.floor(size / 2))
    for (const range of ranges) {
      if (left < range.size) return offset + range.offset + left
      left -= range.size
    }
    throw new Error(`${section} lies outside of ${ukiPath}`)
  }

  /** One bit of the disk's GUID, with the checksum over it. Twice, and it is as it was. */
  flipDiskGuid(): void {
    const header = this.#disk.read(HEADER.offset, HEADER.bytes)
    header[HEADER.diskGuid] = (header[HEADER.diskGuid] ?? 0) ^ 1
    this.#seal(header)
  }

  /** The case of the first letter of the first partition's name, with the checksums over it. */
  flipPartitionName(): void {
    const header = this.#disk.read(HEADER.offset, HEADER.bytes)
    const offset = Number(header.readBigUInt64LE(HEADER.entriesBlock)) * HEADER.offset
    const entries = this.#disk.read(offset, header.readUInt32LE(HEADER.count) * header.readUInt32LE(HEADER.size))
    entries[ENTRY_NAME] = (entries[ENTRY_NAME] ?? 0) ^ 0x20
    writeSync(this.#file, entries, 0, entries.length, offset)
    header.writeUInt32LE(crc32(entries), HEADER.entries)
    this.#seal(header)
  }

  /** Writes a file on the ESP; its directory is made, in one that is there. */
  async writeOnEsp(path: string, bytes: Uint8Array): Promise<void> {
    const file = join(this.directory, 'file')
    await writeFile(file, bytes)
    const parent = `::/${dirname(path)}`
    if (!(await this.#mtool('mdir', '-/', '-b', '::')).includes(`${parent}/\n`)) await this.#mtool('mmd', parent)
    await this.#mtool('mcopy', '-o', file, `::/${path}`)
  }

  async renameOnEsp(path: string, to: string): Promise<void> {
    await this.#mtool('mren', `::/${path}`, `::/${to}`)
  }

  /** Paths of all files there. */
  async filesOnEsp(): Promise<string[]> {
    const paths = (await this.#mtool('mdir', '-/', '-b', '::')).split('\n').map((line) => line.trim())
    return paths.filter((path) => path !== '' && !path.endsWith('/')).map((path) => path.replace(/^::\//, ''))
  }

  async #mtool(tool: string, ...args: readonly string[]): Promise<string> {
    const esp = `${this.path}@@${this.#esp().offset}`
    return (await run((await tools()).command([tool, '-i', esp, ...args]))).stdout
  }

  #seal(header: Buffer): void {
    header.writeUInt32LE(0, HEADER.checksum)
    header.writeUInt32LE(crc32(header), HEADER.checksum)
    writeSync(this.#file, header, 0, header.length, HEADER.offset)
  }

  #uki(path: string) {
    const { disk, offset, size } = this.#esp()
    const fat = FatVolume.open(diskRange(disk, offset, size))
    const file = fat.find(path)
    if (file === undefined) throw new Error(`the ESP has no ${path}`)
    return { pe: parsePe(fat.read(file)), offset, ranges: [...fat.ranges(file)] }
  }

  #esp() {
    const [esp] = parseGpt(this.#disk).partitions
    if (esp === undefined) throw new Error('the disk has no partition')
    return { disk: this.#disk, ...esp }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    closeSync(this.#file)
    await rm(this.directory, { recursive: true, force: true })
  }
}
