import { diskRange, FatVolume, type GptPartition } from '../formats/index.ts'
import { BootwrightError, openDisk } from '../system/index.ts'
import { EFI_SYSTEM, EXTENDED_BOOT } from './boot-partitions.ts'
import type { Resource } from './types.ts'

/** A directory in a FAT file system of a disk image. */
export interface FatPlace {
  readonly kind: 'fat'
  readonly disk: string
  /** Of the partition, in bytes. */
  readonly offset: number
  readonly size: number
  /** From the root of the file system, with a slash in front. */
  readonly directory: string
  /** What it is called: the image, the number of the partition, the directory. */
  readonly path: string
}

/** Where a target is that is relative to the EFI or boot partition of an image. Rejects with `UPDATE_REFUSED` where there is none. */
export function findFatPlace(
  { path, pathRelativeTo }: Resource,
  disk: string,
  partitions: readonly GptPartition[],
): FatPlace {
  const ofType = (type: string): GptPartition | undefined => partitions.find(({ typeGuid }) => typeGuid === type)
  const esp = ofType(EFI_SYSTEM)
  const partition = pathRelativeTo === 'esp' ? esp : (ofType(EXTENDED_BOOT) ?? esp)
  if (partition === undefined) {
    throw new BootwrightError('UPDATE_REFUSED', `${disk} has no EFI or boot partition, where '${path}' should be`, {
      hint: 'PathRelativeTo= in [Target] says which one is meant.',
    })
  }
  const { number, offset, size } = partition
  const place: FatPlace = { kind: 'fat', disk, offset, size, directory: path, path: `${disk}#${number}${path}` }
  try {
    openFat(place)[Symbol.dispose]()
  } catch (cause) {
    if (!(cause instanceof BootwrightError)) throw cause
    throw new BootwrightError(
      'UPDATE_REFUSED',
      `Partition ${number} of ${disk} holds no FAT file system, and no other one can be changed without mounting it`,
      { cause, hint: `systemd-dissect --mount ${disk} DIRECTORY, then --root=DIRECTORY.` },
    )
  }
  return place
}

/** The file system of a place as it is now, to look into. */
export function openFat({ disk, offset, size }: FatPlace): FatVolume & Disposable {
  const opened = openDisk(disk)
  try {
    const volume = FatVolume.open(diskRange(opened, offset, size))
    return Object.assign(volume, { [Symbol.dispose]: () => opened[Symbol.dispose]() })
  } catch (error) {
    opened[Symbol.dispose]()
    throw error
  }
}
