import { readdir, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'

/** Whether the image has what asks a cloud for user data: by mkosi's manifest of its packages, beside the UKI. */
export async function importsUserData(ukiPath: string): Promise<boolean> {
  const directory = dirname(ukiPath)
  const manifest = (await readdir(directory)).find((name) => name.endsWith('.manifest'))
  if (manifest === undefined) return false
  const { packages = [] } = JSON.parse(await readFile(join(directory, manifest), 'utf8')) as {
    packages?: readonly { readonly name: string }[]
  }
  return packages.some(({ name }) => name === 'systemd-imds')
}
