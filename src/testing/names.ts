import { listImages } from '../image/index.ts'
import { type Firmware, firmwareNamed, firmwareNames } from '../machine/index.ts'
import { unknownName } from '../system/index.ts'
import type { Cache, Toolchain } from '../toolchain/index.ts'
import type { Project } from './project.ts'

/** Rejects a name that is none of the project's images, with the list of those that are. */
export async function checkImage(project: Project, name: string): Promise<void> {
  const names = await listImages(project.imagesDirectory)
  if (!names.includes(name)) throw unknownName('image', name, names)
}

/** Names of all firmware variants, the project's own and those that Bootwright brings. */
export async function projectFirmwares(project: Project): Promise<string[]> {
  const names = await Promise.all(project.firmwareDirectories.map(firmwareNames))
  return [...new Set(names.flat())].sort()
}

/** A firmware variant of the project; rejects a name that is none with the list of those that are. */
export async function projectFirmware(
  project: Project,
  name: string,
  toolchain: Toolchain,
  cache: Cache,
): Promise<Firmware> {
  for (const directory of project.firmwareDirectories) {
    if ((await firmwareNames(directory)).includes(name)) return firmwareNamed(directory, name, toolchain, cache)
  }
  throw unknownName('firmware', name, await projectFirmwares(project))
}
