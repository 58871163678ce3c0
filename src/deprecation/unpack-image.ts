import { parseGpt } from '../formats/index.ts'
import { BootwrightError, openDisk, run } from '../system/index.ts'
import type { Toolchain } from '../toolchain/index.ts'

/** Where the superblock of ext2 to ext4 has its magic number, and what it is (linux/fs/ext4/ext4.h). */
const [EXT_MAGIC_OFFSET, EXT_MAGIC] = [0x438, 0xef53]

/**
 * Copies the files of a raw disk's ext4 file systems into a directory, without root, loop devices or mounts. Rejects with
 * `IMAGE_INCOMPLETE` when there is none.
 */
export async function unpackImage(diskPath: string, directory: string, toolchain: Toolchain): Promise<void> {
  const offsets = extFileSystems(diskPath)
  if (offsets.length === 0) {
    throw new BootwrightError('IMAGE_INCOMPLETE', `Expected an ext4 file system on ${diskPath}, found none`, {
      hint: 'Unpack the image by other means, and give the directory.',
    })
  }
  for (const offset of offsets) {
    const command = ['debugfs', '-R', `rdump / "${directory}"`, `${diskPath}?offset=${offset}`]
    await run(toolchain.command(command))
  }
}

function extFileSystems(diskPath: string): number[] {
  using disk = openDisk(diskPath)
  return parseGpt(disk)
    .partitions.filter(
      ({ offset, size }) =>
        size > EXT_MAGIC_OFFSET + 2 && disk.read(offset + EXT_MAGIC_OFFSET, 2).readUInt16LE(0) === EXT_MAGIC,
    )
    .map(({ offset }) => offset)
}
