import { createHash } from 'node:crypto'
import { mkdir, readFile, rename, rm, utimes, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { diskRange, FatVolume, type Gpt, parseGpt } from '../formats/index.ts'
import type { BuiltImage } from '../image/index.ts'
import type { Firmware } from '../machine/index.ts'
import { BootwrightError, openDisk, run } from '../system/index.ts'
import type { Cache, Toolchain } from '../toolchain/index.ts'
import { keyFiles } from './key-files.ts'

/** An image as far as signing goes. */
export type SignableImage = Pick<BuiltImage, 'name' | 'identity' | 'diskPath' | 'ukiPath'>

export interface SigningOptions {
  readonly toolchain: Toolchain
  readonly cache: Cache
  readonly signal?: AbortSignal | undefined
}

/** Raised when other bytes come out. */
const LAYOUT = 2
const DISK = 'disk.raw'
const UKI = 'uki.efi'
/** Where firmware and boot loaders look for programs: the ESP and the extended boot loader partition (UAPI.2). */
export const ESP_TYPE = 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b'
const BOOT_PARTITIONS = [ESP_TYPE, 'bc13c2ff-59e6-4262-a352-b275fd6f7172']
const SIGNER = '/usr/lib/systemd/systemd-sbsign'
/** Keys that systemd-boot enrols by itself when nothing is enrolled yet. */
const KEYS_DIRECTORY = '/loader/keys/auto'
/** Deeper than any boot loader looks. */
const MAX_DEPTH = 8
/** Times of signatures and files: the same keys give the same bytes. */
const ENVIRONMENT = { SOURCE_DATE_EPOCH: '0' }

/**
 * The image as a firmware with the user's own keys starts it: every EFI program on its boot partitions signed with the key
 * in db. Where the firmware is yet to learn of the keys, the ESP brings them in `loader/keys/auto`, for systemd-boot.
 *
 * A copy in the cache; an image for a firmware without own keys comes back as it is. Nothing but programs and keys is
 * changed. Rejects with `IMAGE_INCOMPLETE` when there is no program to sign.
 */
export async function signedImage<Image extends SignableImage>(
  image: Image,
  { ownKeys }: Pick<Firmware, 'ownKeys'>,
  { toolchain, cache, signal }: SigningOptions,
): Promise<Image> {
  if (ownKeys === undefined) return image
  const { keys, enrolled } = ownKeys
  const signer = keys.keys.db
  const identity = createHash('sha256')
    .update(JSON.stringify([LAYOUT, image.identity, toolchain.identity, enrolled]))
    .update(signer.certificate)
    .digest('hex')
  const make = async (directory: string): Promise<void> => {
    const command = (argv: readonly string[]) => run(toolchain.command(argv, { env: ENVIRONMENT }), { signal })
    const disk = join(directory, DISK)
    const scratch = join(directory, 'scratch')
    await mkdir(scratch)
    await command(['cp', '--sparse=always', '--reflink=auto', image.diskPath, disk])
    const original = await readFile(image.ukiPath)
    let isUkiFound = false
    for (const { partition, programs, missingDirectories } of bootPrograms(disk)) {
      const target = `${disk}@@${partition.offset}`
      for (const { path, bytes } of programs) {
        const [unsigned, signed] = [join(scratch, 'unsigned.efi'), join(scratch, 'signed.efi')]
        await writeFile(unsigned, bytes)
        // biome-ignore format: an option and its value a line
        await command([
          SIGNER, 'sign', unsigned,
          `--private-key=${signer.privateKeyPath}`,
          `--certificate=${signer.certificatePath}`,
          `--output=${signed}`,
        ])
        await utimes(signed, 0, 0)
        await command(['mcopy', '-o', '-m', '-Q', '-i', target, signed, `::${path}`])
        if (!original.equals(bytes)) continue
        isUkiFound = true
        await rename(signed, join(directory, UKI))
      }
      if (enrolled === 'at-first-boot' && partition.typeGuid === ESP_TYPE) {
        for (const path of missingDirectories) await command(['mmd', '-i', target, `::${path}`])
        for (const [name, bytes] of await keyFiles(keys, { toolchain, scratchDirectory: scratch })) {
          const file = join(scratch, name)
          await writeFile(file, bytes)
          await utimes(file, 0, 0)
          await command(['mcopy', '-m', '-Q', '-i', target, file, `::${KEYS_DIRECTORY}/${name}`])
        }
      }
    }
    await rm(scratch, { recursive: true })
    if (!isUkiFound) {
      throw new BootwrightError('IMAGE_INCOMPLETE', `${basename(image.ukiPath)} is on no boot partition of its disk`, {
        hint: `Build it again: ./bootwright build ${image.name} --force`,
      })
    }
  }
  const entry = await cache.entry('signed', `${image.name}-${identity.slice(0, 16)}`, make, { signal })
  return { ...image, identity, diskPath: join(entry, DISK), ukiPath: join(entry, UKI) }
}

interface BootPrograms {
  readonly partition: Gpt['partitions'][number]
  readonly programs: readonly { readonly path: string; readonly bytes: Buffer }[]
  /** Of those that lead to the keys, outermost first. */
  readonly missingDirectories: readonly string[]
}

function bootPrograms(diskPath: string): BootPrograms[] {
  using disk = openDisk(diskPath)
  return parseGpt(disk)
    .partitions.filter(({ typeGuid }) => BOOT_PARTITIONS.includes(typeGuid))
    .map((partition) => {
      const volume = FatVolume.open(diskRange(disk, partition.offset, partition.size))
      const missingDirectories = ['/loader', '/loader/keys', KEYS_DIRECTORY].filter(
        (path) => volume.find(path) === undefined,
      )
      return { partition, programs: programsBelow(volume, '', MAX_DEPTH), missingDirectories }
    })
}

function programsBelow(volume: FatVolume, directory: string, depth: number): { path: string; bytes: Buffer }[] {
  if (depth === 0) return []
  return (volume.list(directory) ?? []).flatMap((entry) => {
    const path = `${directory}/${entry.name}`
    if (entry.isDirectory) return programsBelow(volume, path, depth - 1)
    return entry.name.toLowerCase().endsWith('.efi') ? [{ path, bytes: Buffer.from(volume.read(entry)) }] : []
  })
}
