import { readFile } from 'node:fs/promises'
import { diskRange, FatVolume, parseGpt, parsePe } from '../formats/index.ts'
import { type Firmware, type KeyEntry, withChangedVariables, withKeyEntry } from '../machine/index.ts'
import { authenticodeDigests } from '../measure/index.ts'
import { BootwrightError, openDisk } from '../system/index.ts'
import type { Cache } from '../toolchain/index.ts'
import { ESP_TYPE, type SignableImage } from './signed-image.ts'

/** What dbx can forbid of an image: a program by its digest, or whoever signed it by the certificate. */
export type Revoked = 'boot-loader' | 'uki' | 'signer'

const BOOT_LOADER = '/EFI/BOOT/BOOTX64.EFI'

/**
 * The firmware with entries in dbx: a machine that starts with it refuses what they forbid. Rejects with
 * `INVALID_ARGUMENT` for a firmware without own keys.
 */
export async function withRevoked(
  firmware: Firmware,
  image: SignableImage,
  revoked: readonly Revoked[],
  cache: Cache,
): Promise<Firmware> {
  if (revoked.length === 0) return firmware
  const keys = firmware.ownKeys?.keys
  if (keys === undefined) {
    throw new BootwrightError(
      'INVALID_ARGUMENT',
      `Firmware "${firmware.name}" has no own keys: nothing can be revoked`,
      {
        hint: 'Take one that has, such as secure-boot.',
      },
    )
  }
  const entries = await Promise.all(
    revoked.map(async (what): Promise<KeyEntry> => {
      if (what === 'signer') return { kind: 'x509', owner: keys.owner, data: keys.keys.db.certificate }
      const program = what === 'uki' ? await readFile(image.ukiPath) : bootLoader(image)
      const digest = authenticodeDigests(parsePe(program), program, ['sha256']).get('sha256')
      if (digest === undefined) throw new BootwrightError('BUG', 'A digest that was asked for is not there')
      return { kind: 'sha256', owner: keys.owner, data: digest }
    }),
  )
  const change = (store: Uint8Array) => entries.reduce((changed, entry) => withKeyEntry(changed, 'dbx', entry), store)
  return withChangedVariables(firmware, change, cache)
}

function bootLoader({ name, diskPath }: SignableImage): Uint8Array {
  using disk = openDisk(diskPath)
  for (const { typeGuid, offset, size } of parseGpt(disk).partitions) {
    if (typeGuid !== ESP_TYPE) continue
    const volume = FatVolume.open(diskRange(disk, offset, size))
    const file = volume.find(BOOT_LOADER)
    if (file !== undefined) return volume.read(file)
  }
  throw new BootwrightError('IMAGE_INCOMPLETE', `Image ${name} has no boot loader at ${BOOT_LOADER}`)
}
