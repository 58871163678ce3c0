import { readFile } from 'node:fs/promises'
import { parsePe } from '../formats/index.ts'
import type { BuiltImage } from '../image/index.ts'
import { ukiProfile } from '../measure/index.ts'

/**
 * What of a cloud's user data reaches the system of an image, and is measured: all of it or none. It is imported where the
 * kernel command line says so, else in an initrd that mkosi's list of packages has the importer for. For {@link PredictionOptions}.
 */
export async function importedUserData(
  image: Pick<BuiltImage, 'manifestPath' | 'ukiPath'>,
  userData: Uint8Array | undefined,
): Promise<{ readonly userData?: Uint8Array }> {
  if (image.manifestPath === undefined || userData === undefined) return {}
  const isImported = (await saidOnCommandLine(image.ukiPath)) ?? (await hasImporter(image.manifestPath))
  return isImported ? { userData } : {}
}

async function hasImporter(manifestPath: string): Promise<boolean> {
  const { packages = [] } = JSON.parse(await readFile(manifestPath, 'utf8')) as {
    packages?: readonly { readonly name: string }[]
  }
  return packages.some(({ name }) => name === 'systemd-imds')
}

/** `systemd.imds.import=` of a UKI's own command line. */
async function saidOnCommandLine(ukiPath: string): Promise<boolean | undefined> {
  const file = await readFile(ukiPath)
  const commandLine = ukiProfile(parsePe(file), file).measured.find(({ name }) => name === '.cmdline')
  const words = Buffer.from(commandLine?.bytes ?? [])
    .toString()
    .split(/[\s\0]+/)
  const said = words.findLast((word) => /^systemd\.imds\.import(?:=|$)/.test(word))
  return said === undefined ? undefined : /^systemd\.imds\.import(?:=(?:1|y|yes|t|true|on))?$/i.test(said)
}
