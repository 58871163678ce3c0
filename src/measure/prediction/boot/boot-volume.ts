import {
  type DiskReader,
  diskRange,
  FatVolume,
  type Gpt,
  type GptPartition,
  isFat,
  malformed,
} from '../../../formats/index.ts'

/** Partition types of the UAPI.2 Discoverable Partitions Specification. */
export const ESP_TYPE = 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b'
const XBOOTLDR_TYPE = 'bc13c2ff-59e6-4262-a352-b275fd6f7172'

/** What no name may be longer than in Linux. */
const MAX_NAME_LENGTH = 255

/** No unified kernel image or extension on a boot partition is as large. */
const MAX_FILE_BYTES = 1024 * 1024 * 1024

/** A partition that boot files lie on: the ESP or the extended boot loader partition. */
export class BootVolume {
  readonly partition: GptPartition
  readonly #files: FatVolume
  /** A boot loader looks into a UKI before it starts it: the same large file twice in a row. */
  #last: { readonly path: string; readonly bytes: Uint8Array } | undefined

  constructor(disk: DiskReader, partition: GptPartition) {
    this.partition = partition
    this.#files = FatVolume.open(diskRange(disk, partition.offset, partition.size))
  }

  has(path: string): boolean {
    const found = this.#files.find(path)
    return found !== undefined && !found.isDirectory
  }

  /** The content of a file; undefined if there is none of that name. */
  read(path: string): Uint8Array | undefined {
    const found = this.#files.find(path)
    if (found === undefined || found.isDirectory) return undefined
    if (found.size > MAX_FILE_BYTES) {
      throw malformed(
        { what: 'boot partition', field: path, offset: 0 },
        `has ${found.size} bytes, more than ${MAX_FILE_BYTES}`,
      )
    }
    if (this.#last?.path !== path) this.#last = { path, bytes: this.#files.read(found) }
    return this.#last.bytes
  }

  /** Names of the files in a directory, in the order of the disk; none if there is no directory. */
  fileNames(directory: string): string[] {
    return (this.#files.list(directory) ?? []).filter(({ isDirectory }) => !isDirectory).map(({ name }) => name)
  }

  /**
   * Names of the files that systemd picks up from a directory by their suffix, without regard to case, in the order in
   * which it measures them. Hidden ones, names that are not ASCII, and names too long for Linux are left out.
   */
  pickedUp(directory: string, suffix: string, exceptSuffix?: string): string[] {
    const ends = (name: string, end: string): boolean => name.toLowerCase().endsWith(end)
    return (
      this.fileNames(directory)
        .filter((name) => /^\p{ASCII}+$/u.test(name) && !name.startsWith('.') && name.length <= MAX_NAME_LENGTH)
        .filter((name) => ends(name, suffix) && (exceptSuffix === undefined || !ends(name, exceptSuffix)))
        // Without a comparison function: by UTF-16 code units.
        .sort()
    )
  }
}

/** All EFI system partitions, in the order of the table. Those without a FAT file system are left out. */
export function systemPartitions(disk: DiskReader, gpt: Gpt): BootVolume[] {
  return volumesOfType(disk, gpt, ESP_TYPE)
}

/** The extended boot loader partition, the first one. */
export function extendedBootPartition(disk: DiskReader, gpt: Gpt): BootVolume | undefined {
  return volumesOfType(disk, gpt, XBOOTLDR_TYPE)[0]
}

function volumesOfType(disk: DiskReader, gpt: Gpt, type: string): BootVolume[] {
  return gpt.partitions
    .filter(({ typeGuid, offset, size }) => typeGuid === type && isFat(diskRange(disk, offset, size)))
    .map((partition) => new BootVolume(disk, partition))
}
