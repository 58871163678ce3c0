import { copyFile, mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { BootwrightError } from '../../system/index.ts'
import { HWDB } from './hwdb.ts'
import { POLKIT, PROGRAM_PATH, SYSUSERS, UDEV_RULES, UNITS } from './units.ts'

const TOOLS = {
  'systemd-imds': '/usr/lib/systemd',
  'systemd-imdsd': '/usr/lib/systemd',
  'systemd-imds-generator': '/usr/lib/systemd/system-generators',
  'systemd-measure': '/usr/lib/systemd',
} as const

/** The files beside the program and its links, by path. */
export function treeFiles(): Readonly<Record<string, string>> {
  return { ...UNITS, ...SYSUSERS, ...POLKIT, ...HWDB, ...UDEV_RULES }
}

/**
 * Writes the guest tools with all that they need in an image, for `ExtraTrees=` of mkosi: the program, its links, units, user, policy and
 * hardware database. Rejects with `INVALID_ARGUMENT` where something is already.
 */
export async function writeExtraTree(directory: string, program: string): Promise<void> {
  const aside = `${directory}.unfinished`
  await rm(aside, { recursive: true, force: true })
  const at = async (path: string): Promise<string> => {
    const file = join(aside, path)
    await mkdir(dirname(file), { recursive: true })
    return file
  }
  await copyFile(program, await at(PROGRAM_PATH))
  for (const [tool, place] of Object.entries(TOOLS)) {
    await symlink(relative(place, PROGRAM_PATH), await at(join(place, tool)))
  }
  for (const [path, content] of Object.entries(treeFiles())) {
    await writeFile(await at(path), content)
  }
  try {
    await rename(aside, directory)
  } catch (cause) {
    await rm(aside, { recursive: true, force: true })
    throw new BootwrightError('INVALID_ARGUMENT', `Cannot write to ${directory}: something is there already`, {
      cause,
      hint: 'Name a directory that is not there, or remove it first.',
    })
  }
}
