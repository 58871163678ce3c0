import { closeSync, openSync, writeSync } from 'node:fs'
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type DiskReader,
  diskRange,
  type FatEntry,
  FatVolume,
  type GptPartition,
  parseGpt,
} from '../../../src/formats/index.ts'
import { type Command, openDisk, runUnchecked } from '../../../src/system/index.ts'
import type { Toolchain } from '../../../src/toolchain/index.ts'
import { CHECKOUT } from '../scene.ts'
import { type BootableVersion, BootJudge } from './boot-state.ts'

export type Updater = 'the original' | 'ours'

/** What the next update made of a disk that a power cut has left. */
export interface NextUpdate {
  /** Empty when it ended well. */
  readonly lastError: string
  /** Undefined when the new version is whole and to be booted next. */
  readonly problem: string | undefined
}

export interface NextUpdateOptions {
  readonly toolchain: Toolchain
  /** Where there is room for a copy of the disk. */
  readonly parent: string
  /** Of the release server, as this host reaches it. */
  readonly url: string
  readonly versions: readonly BootableVersion[]
}

const STATE_DIRECTORY = '/var/lib/systemd/sysupdate'
/** Of /usr and of its hash tree, on x86-64. */
const OWN_TYPES = ['8484680c-9521-48c6-9c11-b0720656f69e', '77ff5f63-e7b6-4633-acf4-1565b864c0e6']
const NOTES = 'acquired.json'
const CHUNK_BYTES = 4 * 1024 * 1024

/**
 * A system as it is found after a power cut, for updaters that run on this host: the disk as an image, what is in its boot
 * partition and what the updater has noted as files. Its definitions are those of the image `ab`.
 */
export class LeftSystem implements AsyncDisposable {
  readonly #root: string
  readonly #options: NextUpdateOptions

  private constructor(root: string, options: NextUpdateOptions) {
    this.#root = root
    this.#options = options
  }

  static async of(disk: DiskReader, options: NextUpdateOptions): Promise<LeftSystem> {
    const root = await mkdtemp(join(options.parent, 'left-'))
    const system = new LeftSystem(root, options)
    try {
      await copyDisk(disk, system.#disk)
      const { partitions } = parseGpt(disk)
      await copyFiles(volumeOf(disk, partitions, 'esp'), '', system.#boot)
      await system.#copyNotes(partitions)
      await system.#define()
      return system
    } catch (error) {
      await system[Symbol.asyncDispose]()
      throw error
    }
  }

  get #disk(): string {
    return join(this.#root, 'disk.raw')
  }

  get #boot(): string {
    return join(this.#root, 'boot')
  }

  async run(updater: Updater, verb: string): Promise<NextUpdate> {
    const lastError = await lastErrorOf(this.#command(updater, [`--root=${this.#root}`, '--verify=no', verb]))
    return { lastError: lastError.replaceAll(this.#root, ''), problem: await this.#problem() }
  }

  #command(updater: Updater, argv: readonly string[]): Command {
    if (updater === 'the original')
      return this.#options.toolchain.command(['/usr/lib/systemd/systemd-sysupdate', ...argv])
    return { argv: [process.execPath, join(CHECKOUT, 'src/cli/main.ts'), 'sysupdate', ...argv] }
  }

  /** The files are no FAT any more: they are looked at beside the disk. */
  async #problem(): Promise<string | undefined> {
    const { versions } = this.#options
    using file = openDisk(this.#disk)
    const disk = { size: file.size, read: file.read, stamp: () => '' }
    const judge = new BootJudge(versions)
    const { gpt, slots } = judge.state(disk)
    if (gpt !== 'both') return `of the partition table ${gpt} is whole`
    const name = `ab_${versions.at(-1)?.version}+3-0.efi`
    const uki = await readFile(join(this.#boot, 'EFI/Linux', name)).catch(() => undefined)
    if (uki === undefined) return `there is no ${name}`
    if (slots.some(({ typeGuid }) => !OWN_TYPES.includes(typeGuid))) return 'a slot is unfinished'
    return judge.ukiProblem(disk, uki)
  }

  /** What ours has noted of an unfinished update lies in the root file system, whose journal has to be replayed first. */
  async #copyNotes(partitions: readonly GptPartition[]): Promise<void> {
    const root = partitions.find(({ name }) => name.startsWith('root'))
    if (root === undefined) throw new Error('The disk has no root file system')
    const { toolchain } = this.#options
    const image = `${this.#disk}?offset=${root.offset}`
    // It opens the file anew when it has replayed the journal, without the offset then, and fails: the journal is all that is wanted.
    await runUnchecked(toolchain.command(['e2fsck', '-y', image]))
    const to = join(this.#root, STATE_DIRECTORY)
    await mkdir(to, { recursive: true })
    const cat = toolchain.command(['debugfs', '-R', `cat ${STATE_DIRECTORY}/${NOTES}`, image])
    const { stdout } = await runUnchecked(cat)
    if (stdout !== '') await writeFile(join(to, NOTES), stdout)
  }

  async #define(): Promise<void> {
    const lib = join(this.#root, 'usr/lib')
    await cp(join(CHECKOUT, 'images/ab/mkosi.extra/usr/lib/sysupdate.d'), join(lib, 'sysupdate.d'), { recursive: true })
    const running = this.#options.versions.at(-2)?.version
    await writeFile(join(lib, 'os-release'), `ID=debian\nIMAGE_ID=ab\nIMAGE_VERSION=${running}\n`)
    const dropIn = async (transfer: string, target: string) => {
      const directory = join(this.#root, `etc/sysupdate.d/${transfer}.transfer.d`)
      await mkdir(directory, { recursive: true })
      await writeFile(join(directory, 'here.conf'), `[Source]\nPath=${this.#options.url}\n[Target]\n${target}\n`)
    }
    await dropIn('10-usr-verity', 'Path=/disk.raw')
    await dropIn('20-usr', 'Path=/disk.raw')
    await dropIn('90-uki', 'PathRelativeTo=root\nPath=/boot/EFI/Linux')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#root, { recursive: true, force: true })
  }
}

async function lastErrorOf(command: Command): Promise<string> {
  try {
    const { exitCode, stderr } = await runUnchecked(command)
    return exitCode === 0 ? '' : (stderr.trim().split('\n').at(-1) ?? '')
  } catch (error) {
    // It aborts in some of the states that it left itself.
    return /was ended by \w+/.exec(error instanceof Error ? error.message : '')?.[0] ?? String(error)
  }
}

function volumeOf(disk: DiskReader, partitions: readonly GptPartition[], label: string): FatVolume {
  const found = partitions.find(({ name }) => name === label)
  if (found === undefined) throw new Error(`The disk has no partition ${label}`)
  return FatVolume.open(diskRange(disk, found.offset, found.size))
}

async function copyFiles(volume: FatVolume, from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true })
  for (const entry of volume.list(from) ?? []) {
    const [path, copy] = [from === '' ? entry.name : `${from}/${entry.name}`, join(to, entry.name)]
    if (entry.isDirectory) await copyFiles(volume, path, copy)
    else await writeFile(copy, contentOf(volume, entry), { mode: 0o644 })
  }
}

/** A half-written file may have less than it says: then nothing of it is there. */
function contentOf(volume: FatVolume, entry: FatEntry): Uint8Array {
  try {
    return volume.read(entry)
  } catch {
    return new Uint8Array()
  }
}

/** As a sparse file. */
async function copyDisk(disk: DiskReader, path: string): Promise<void> {
  const zeros = Buffer.alloc(CHUNK_BYTES)
  const descriptor = openSync(path, 'w')
  try {
    for (let offset = 0; offset < disk.size; offset += CHUNK_BYTES) {
      const size = Math.min(CHUNK_BYTES, disk.size - offset)
      const bytes = disk.read(offset, size)
      const isLast = offset + size === disk.size
      if (isLast || zeros.compare(bytes, 0, size, 0, size) !== 0) writeSync(descriptor, bytes, 0, size, offset)
    }
  } finally {
    closeSync(descriptor)
  }
}
