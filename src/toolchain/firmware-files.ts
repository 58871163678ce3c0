import { access, mkdir, symlink } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { type Command, run } from '../system/index.ts'

/** Where Debian has OVMF, and so `ovmf/*.json` and everything here; and what it is called elsewhere, best first. */
export const FIRMWARE_FILES: Readonly<Record<string, readonly string[]>> = {
  'usr/share/OVMF/OVMF_CODE_4M.fd': [
    'usr/share/edk2/x64/OVMF_CODE.4m.fd',
    'usr/share/edk2/ovmf/OVMF_CODE_4M.qcow2',
    'usr/share/qemu/ovmf-x86_64-4m-code.bin',
  ],
  'usr/share/OVMF/OVMF_CODE_4M.secboot.fd': [
    'usr/share/edk2/x64/OVMF_CODE.secboot.4m.fd',
    'usr/share/edk2/ovmf/OVMF_CODE_4M.secboot.qcow2',
    'usr/share/qemu/ovmf-x86_64-smm-code.bin',
  ],
  'usr/share/OVMF/OVMF_VARS_4M.fd': [
    'usr/share/edk2/x64/OVMF_VARS.4m.fd',
    'usr/share/edk2/ovmf/OVMF_VARS_4M.qcow2',
    'usr/share/qemu/ovmf-x86_64-4m-vars.bin',
  ],
}

/** The files of the firmware below a root directory. */
export interface FoundFirmware {
  /** From Debian's name to the absolute path that it has here. */
  readonly files: ReadonlyMap<string, string>
  /** Debian's names of what is not there under any name. */
  readonly missing: readonly string[]
  /** Whether all are there under Debian's names. */
  readonly isDebians: boolean
}

export async function findFirmware(root: string): Promise<FoundFirmware> {
  const files = new Map<string, string>()
  const missing: string[] = []
  for (const [path, elsewhere] of Object.entries(FIRMWARE_FILES)) {
    const found = await firstThere([path, ...elsewhere].map((candidate) => join(root, candidate)))
    if (found === undefined) missing.push(path)
    else files.set(path, found)
  }
  const isDebians = missing.length === 0 && [...files].every(([path, found]) => found === join(root, path))
  return { files, missing, isDebians }
}

/**
 * Gives files of the firmware Debian's names below `into`: relative links within it, links to what is outside, or raw
 * copies of those that are qcow2. `wrap` makes a command of the tools, for qemu-img.
 */
export async function provideFirmware(
  { files }: Pick<FoundFirmware, 'files'>,
  into: string,
  wrap: (argv: readonly string[]) => Command,
): Promise<void> {
  for (const [path, source] of files) {
    const target = join(into, path)
    if (target === source) continue
    await mkdir(dirname(target), { recursive: true })
    // A tree is moved as a whole, the host's files are where they are.
    const isInside = source.startsWith(`${into}/`)
    if (!source.endsWith('.qcow2')) await symlink(isInside ? relative(dirname(target), source) : source, target)
    else await run(wrap(['qemu-img', 'convert', '-O', 'raw', source, target]))
  }
}

async function firstThere(paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths) if (await isThere(path)) return path
  return undefined
}

function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}
