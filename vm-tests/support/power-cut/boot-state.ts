import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import {
  type DiskReader,
  diskRange,
  type FatEntry,
  FatVolume,
  type Gpt,
  type GptPartition,
  parseGpt,
  parsePe,
} from '../../../src/formats/index.ts'
import type { BuiltImage } from '../../../src/image/index.ts'
import type { StampedDisk } from './crash-states.ts'
import { verityProblem } from './verity.ts'

/** A version that the disk may boot. */
export interface BootableVersion {
  readonly version: string
  readonly ukiSha256: string
  readonly usrHash: string
}

/** A partition of a version, or of none. */
export type Slot = Pick<
  GptPartition,
  'number' | 'typeGuid' | 'name' | 'partitionGuid' | 'attributes' | 'offset' | 'size'
>

/** What systemd-boot shows: a UKI, and whether it and the /usr that it names are whole. */
export interface BootEntryState {
  readonly name: string
  /** Undefined for a file that is no UKI of a version. */
  readonly version: string | undefined
  readonly problem: string | undefined
}

/** What of a disk decides whether it boots, and what the next update finds. */
export interface BootState {
  /** Which copies of the partition table are whole. */
  readonly gpt: 'both' | 'primary' | 'backup' | 'neither'
  readonly entries: readonly BootEntryState[]
  /** Everything that a boot needs besides them: the boot loader and its configuration, by content. */
  readonly loader: string
  readonly slots: readonly Slot[]
  /** All names below EFI/Linux, hidden ones too, each with what is in it. */
  readonly files: readonly string[]
}

const UKIS = 'EFI/Linux'
const MAX_DEPTH = 8

export async function bootableVersion({ version, ukiPath }: BuiltImage): Promise<BootableVersion> {
  const bytes = await readFile(ukiPath)
  const section = parsePe(bytes).sections.find(({ name }) => name === '.cmdline')
  const commandLine = bytes.subarray(section?.rawOffset, (section?.rawOffset ?? 0) + (section?.virtualSize ?? 0))
  const usrHash = /usrhash=([0-9a-f]{64})/.exec(commandLine.toString())?.[1]
  if (usrHash === undefined) throw new Error(`${ukiPath} names no /usr`)
  return { version, ukiSha256: sha256(bytes), usrHash }
}

/** Why a disk does not surely boot one of the versions; undefined when it does, whatever its boot loader chooses. */
export function bootProblem({ gpt, entries, loader }: BootState, intact: BootState): string | undefined {
  if (gpt === 'neither') return 'no copy of the partition table is whole'
  if (loader !== intact.loader) return 'the boot loader is not what it was'
  if (entries.length === 0) return 'there is nothing to boot'
  const bad = entries.find(({ problem }) => problem !== undefined)
  return bad === undefined ? undefined : `${bad.name}: ${bad.problem}`
}

/** Looks at disks that have most in common: what has not changed is not read again. */
export class BootJudge {
  readonly #versions: readonly BootableVersion[]
  readonly #boot = new Map<string, BootPartition>()
  readonly #verity = new Map<string, string | undefined>()

  constructor(versions: readonly BootableVersion[]) {
    this.#versions = versions
  }

  state(disk: StampedDisk): BootState {
    const gpt = tableOf(disk)
    if (gpt === undefined) return { gpt: 'neither', entries: [], loader: '', slots: [], files: [] }
    const esp = gpt.partitions.find(({ name }) => name === 'esp')
    if (esp === undefined) return { gpt: copiesOf(gpt), entries: [], loader: '', slots: slotsOf(gpt), files: [] }
    const { files, loader } = this.#bootPartition(disk, esp)
    const entries = files
      .filter(({ name, isProgram }) => isProgram && !name.startsWith('.') && name.toLowerCase().endsWith('.efi'))
      .map(({ name, content }): BootEntryState => {
        const found = this.#versions.find(({ ukiSha256 }) => ukiSha256 === content)
        if (found === undefined) return { name, version: undefined, problem: 'is no whole UKI of a version' }
        return { name, version: found.version, problem: this.#usrProblem(disk, gpt, found.usrHash) }
      })
    return {
      gpt: copiesOf(gpt),
      entries,
      loader,
      slots: slotsOf(gpt),
      files: files.map(({ name, content }) => `${name} ${this.#named(content)}`),
    }
  }

  /** Why a UKI that is no more in a FAT would not start what it belongs to. */
  ukiProblem(disk: StampedDisk, uki: Uint8Array): string | undefined {
    const found = this.#versions.find(({ ukiSha256 }) => ukiSha256 === sha256(uki))
    const gpt = tableOf(disk)
    if (found === undefined || gpt === undefined) return 'is no whole UKI of a version'
    return this.#usrProblem(disk, gpt, found.usrHash)
  }

  #named(content: string): string {
    return this.#versions.find(({ ukiSha256 }) => ukiSha256 === content)?.version ?? 'in part'
  }

  #bootPartition(disk: StampedDisk, { offset, size }: GptPartition): BootPartition {
    const stamp = disk.stamp(offset, size)
    let known = this.#boot.get(stamp)
    if (known === undefined) {
      known = readBootPartition(diskRange(disk, offset, size))
      this.#boot.set(stamp, known)
    }
    return known
  }

  /** The first half of the root hash is the UUID of the file system's partition, the second half that of its hash tree. */
  #usrProblem(disk: StampedDisk, { partitions }: Gpt, usrHash: string): string | undefined {
    const named = (digits: string) =>
      partitions.find(({ partitionGuid }) => partitionGuid.replaceAll('-', '') === digits)
    const [data, tree] = [named(usrHash.slice(0, 32)), named(usrHash.slice(32))]
    if (data === undefined || tree === undefined) return 'its /usr is not there'
    const key = [data, tree].map(({ offset, size }) => `${offset} ${disk.stamp(offset, size)}`).join(', ')
    if (!this.#verity.has(key)) {
      const range = ({ offset, size }: GptPartition) => diskRange(disk, offset, size)
      this.#verity.set(key, verityProblem(range(data), range(tree), usrHash))
    }
    return this.#verity.get(key)
  }
}

interface BootPartition {
  readonly files: readonly {
    readonly name: string
    readonly content: string
    /** What is none systemd-boot passes over. */
    readonly isProgram: boolean
  }[]
  readonly loader: string
}

function readBootPartition(partition: DiskReader): BootPartition {
  const files: BootPartition['files'][number][] = []
  const others: string[] = []
  const read = (volume: FatVolume, entry: FatEntry): { content: string; isProgram: boolean } => {
    try {
      const bytes = volume.read(entry)
      return { content: sha256(bytes), isProgram: isPe(bytes) }
    } catch (error) {
      // A half-written file may have a chain that is no better.
      return { content: `unreadable: ${error instanceof Error ? error.message : String(error)}`, isProgram: true }
    }
  }
  const visit = (volume: FatVolume, directory: string, depth: number): void => {
    const isUkis = directory.toLowerCase() === UKIS.toLowerCase()
    for (const entry of volume.list(directory) ?? []) {
      const path = directory === '' ? entry.name : `${directory}/${entry.name}`
      if (isUkis) files.push({ name: entry.name, ...read(volume, entry) })
      else if (!entry.isDirectory) others.push(`${path} ${read(volume, entry).content}`)
      else if (depth < MAX_DEPTH) visit(volume, path, depth + 1)
    }
  }
  try {
    visit(FatVolume.open(partition), '', 0)
  } catch (error) {
    return { files: [], loader: `unreadable: ${error instanceof Error ? error.message : String(error)}` }
  }
  return {
    files: files.toSorted((a, b) => (a.name < b.name ? -1 : 1)),
    loader: sha256(Buffer.from(others.sort().join('\n'))),
  }
}

function isPe(bytes: Uint8Array): boolean {
  try {
    return parsePe(bytes).sections.length > 0
  } catch {
    return false
  }
}

function tableOf(disk: StampedDisk): Gpt | undefined {
  try {
    return parseGpt(disk)
  } catch {
    return undefined
  }
}

function copiesOf({ primary, backup }: Gpt): BootState['gpt'] {
  if (primary.state === 'valid') return backup.state === 'valid' ? 'both' : 'primary'
  return 'backup'
}

function slotsOf({ partitions }: Gpt): Slot[] {
  return partitions
    .filter(({ name }) => /^(ab_|_empty)/.test(name))
    .map(({ bytes: _, firstLba: _first, lastLba: _last, ...slot }) => slot)
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
