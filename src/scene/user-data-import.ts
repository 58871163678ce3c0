import { readFile } from 'node:fs/promises'
import type { BuiltImage } from '../image/index.ts'

/**
 * What of a cloud's user data reaches the system of an image, and is measured: all of it, where mkosi's list of packages
 * has the one that asks a cloud for it, and none elsewhere. For {@link PredictionOptions}.
 */
export async function importedUserData(
  { manifestPath }: Pick<BuiltImage, 'manifestPath'>,
  userData: Uint8Array | undefined,
): Promise<{ readonly userData?: Uint8Array }> {
  if (manifestPath === undefined || userData === undefined) return {}
  const { packages = [] } = JSON.parse(await readFile(manifestPath, 'utf8')) as {
    packages?: readonly { readonly name: string }[]
  }
  return packages.some(({ name }) => name === 'systemd-imds') ? { userData } : {}
}
