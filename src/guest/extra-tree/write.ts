import { copyFile, mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { BootwrightError } from '../../system/index.ts'
import { HWDB } from './hwdb.ts'
import { IMDS_UNITS, POLKIT, SYSUSERS, UDEV_RULES } from './imds-units.ts'
import { SYSUPDATE_ALIASES, SYSUPDATE_UNITS, SYSUPDATE_WANTED } from './sysupdate-units.ts'

/** Where the program is; the tools are links to it. */
const PROGRAM_PATH = '/usr/lib/bootwright/guest-tools'
const TOOLS = {
  'systemd-imds': '/usr/lib/systemd',
  'systemd-imdsd': '/usr/lib/systemd',
  'systemd-imds-generator': '/usr/lib/systemd/system-generators',
  'systemd-measure': '/usr/lib/systemd',
  'systemd-sysupdate': '/usr/lib/systemd',
} as const

/** The files beside the program and its links, by path. */
export function treeFiles(): Readonly<Record<string, string>> {
  return { ...IMDS_UNITS, ...SYSUPDATE_UNITS, ...SYSUPDATE_WANTED, ...SYSUSERS, ...POLKIT, ...HWDB, ...UDEV_RULES }
}

/** The links beside it, by path. */
export function treeLinks(): Readonly<Record<string, string>> {
  const tools = Object.entries(TOOLS).map(([tool, place]): [string, string] => [
    join(place, tool),
    relative(place, PROGRAM_PATH),
  ])
  return { ...Object.fromEntries(tools), ...SYSUPDATE_ALIASES }
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
  for (const [path, target] of Object.entries(treeLinks())) await symlink(target, await at(path))
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
