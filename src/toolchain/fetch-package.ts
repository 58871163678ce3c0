import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { BootwrightError, run } from '../system/index.ts'
import { isolatedApt } from './isolated-apt.ts'
import type { PackageSources } from './package-sources.ts'

/** A package of Debian's, unpacked and not installed. */
export interface FetchedPackage {
  readonly version: string
  /** What would be `/`. */
  readonly root: string
}

/**
 * Fetches a package, without those that it depends on, through an apt state of its own in `directory`, and unpacks it
 * there. Rejects with `PACKAGE_SOURCE` when it cannot be had.
 */
export async function fetchPackage(
  name: string,
  directory: string,
  sources: PackageSources,
  signal?: AbortSignal,
): Promise<FetchedPackage> {
  const apt = await isolatedApt(directory, sources)
  await apt.update({ signal })
  await apt.download(name, directory, { signal })
  const deb = (await readdir(directory)).find((file) => file.endsWith('.deb'))
  if (deb === undefined) {
    throw new BootwrightError('PACKAGE_SOURCE', `apt fetched no package ${name}, though it said so`, {
      hint: 'Use another mirror: --mirror URL.',
    })
  }
  const file = join(directory, deb)
  const fields = await run({ argv: ['dpkg-deb', '--field', file, 'Version'] }, { signal })
  const root = join(directory, 'unpacked')
  await mkdir(root)
  await run({ argv: ['dpkg-deb', '--extract', file, root] }, { signal })
  await rm(file)
  await rm(join(directory, 'apt'), { recursive: true })
  return { version: fields.stdout.trim(), root }
}
