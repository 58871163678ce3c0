import { constants, copyFile, link, readdir, readlink, rename, symlink } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { run, unknownName } from '../system/index.ts'
import type { Toolchain } from '../toolchain/index.ts'
import type { MachineSpec } from './spec.ts'

/** The disk that the machine starts from, as its files are named. */
export const SYSTEM_DISK_FILE = 'disk'

/**
 * The disks of a machine: its own file `<name>.qcow2` takes what the guest writes; below it lie, in this order, the layers
 * `<name>.base-1.qcow2`, … that it went on from and that nobody writes any more, and at last the image, which they know as
 * the link `<name>.content`: whoever goes on from a snapshot may have the same image elsewhere.
 */
export function diskFiles(spec: Pick<MachineSpec, 'disks'>): string[] {
  return [SYSTEM_DISK_FILE, ...(spec.disks ?? []).map(({ name }) => `${SYSTEM_DISK_FILE}-${name}`)]
}

/** Where the machine's own layer of a disk is. */
export function diskPath(directory: string, disk: string): string {
  return join(directory, `${disk}.qcow2`)
}

function contentLink(disk: string): string {
  return `${disk}.content`
}

/** What a new disk begins with. */
export interface DiskContent {
  /** A disk that is never written to; a path that is not absolute is one beside the new disk. Empty without. */
  readonly backing?: { readonly path: string; readonly format: 'raw' | 'qcow2' } | undefined
  /** That of `backing` when absent. */
  readonly sizeMiB?: number | undefined
}

/** Makes a disk that takes the writes of one machine. */
export async function makeDisk(
  toolchain: Toolchain,
  path: string,
  { backing, sizeMiB }: DiskContent,
  signal?: AbortSignal,
): Promise<void> {
  // biome-ignore format: an option and its value on one line
  const command = toolchain.command([
    'qemu-img', 'create', '-q',
    '-f', 'qcow2',
    ...(backing === undefined ? [] : ['-F', backing.format, '-b', backing.path]),
    path,
    ...(sizeMiB === undefined ? [] : [`${sizeMiB}M`]),
  ])
  await run(command, { signal })
}

/** Begins the disks of a machine that has never been on. */
export function makeDisks(
  spec: DiskSpec,
  toolchain: Toolchain,
  directory: string,
  signal?: AbortSignal,
): Promise<void>[] {
  return diskFiles(spec).map(async (disk) => {
    const { path, sizeMiB } = contentOf(spec, disk)
    await linkContent(spec, disk, directory)
    const backing = path === undefined ? undefined : { path: contentLink(disk), format: 'raw' as const }
    await makeDisk(toolchain, diskPath(directory, disk), { backing, sizeMiB }, signal)
  })
}

type DiskSpec = Pick<MachineSpec, 'image' | 'diskMiB' | 'disks'>

function contentOf(spec: DiskSpec, disk: string): { path: string | undefined; sizeMiB: number | undefined } {
  if (disk === SYSTEM_DISK_FILE) return { path: spec.image.diskPath, sizeMiB: spec.diskMiB }
  const other = spec.disks?.find(({ name }) => disk === `${SYSTEM_DISK_FILE}-${name}`)
  return { path: other?.contentPath, sizeMiB: other?.sizeMiB }
}

async function linkContent(spec: DiskSpec, disk: string, directory: string): Promise<void> {
  const { path } = contentOf(spec, disk)
  if (path !== undefined) await symlink(resolve(path), join(directory, contentLink(disk)))
}

/** The disk with this name, as its files are named; that with the image without. `UNKNOWN_NAME` lists those there are. */
export function diskFile({ disks = [] }: Pick<MachineSpec, 'disks'>, name: string | undefined): string {
  if (name === undefined) return SYSTEM_DISK_FILE
  const names = disks.map((disk) => disk.name)
  if (!names.includes(name)) throw unknownName('disk', name, names)
  return `${SYSTEM_DISK_FILE}-${name}`
}

/** A disk that goes on from that of a snapshot: what was written until then becomes a layer that is shared. */
export async function continueDisk(
  spec: DiskSpec,
  toolchain: Toolchain,
  disk: string,
  from: string,
  to: string,
  signal?: AbortSignal,
): Promise<void> {
  await linkContent(spec, disk, to)
  const layers = await baseLayers(from, disk)
  for (const layer of layers) await linkOrCopy(join(from, layer), join(to, layer))
  const top = `${disk}.base-${layers.length + 1}.qcow2`
  await linkOrCopy(diskPath(from, disk), join(to, top))
  // Its name alone: layers lie beside each other, wherever the directory goes.
  await makeDisk(toolchain, diskPath(to, disk), { backing: { path: top, format: 'qcow2' } }, signal)
}

/** Lays a machine's disk over another one, which is not written to. Whatever it was before is gone. */
export async function layOver(toolchain: Toolchain, path: string, directory: string): Promise<void> {
  const disk = diskPath(directory, SYSTEM_DISK_FILE)
  const aside = `${disk}.partial`
  await makeDisk(toolchain, aside, { backing: { path: resolve(path), format: 'qcow2' } })
  await rename(aside, disk)
}

/** Copies a disk that its machine goes on writing to, but not now. */
export async function copyDisk(disk: string, from: string, to: string): Promise<void> {
  const content = await readlink(join(from, contentLink(disk))).catch(() => undefined)
  if (content !== undefined) await symlink(content, join(to, contentLink(disk)))
  for (const layer of await baseLayers(from, disk)) await linkOrCopy(join(from, layer), join(to, layer))
  await copyFile(diskPath(from, disk), diskPath(to, disk), constants.COPYFILE_FICLONE)
}

async function baseLayers(directory: string, disk: string): Promise<string[]> {
  const count = (await readdir(directory)).filter((name) => name.startsWith(`${disk}.base-`)).length
  return Array.from({ length: count }, (_, index) => `${disk}.base-${index + 1}.qcow2`)
}

/** A second name for the same file where both are in one file system: it is never written to. */
function linkOrCopy(from: string, to: string): Promise<void> {
  return link(from, to).catch(() => copyFile(from, to, constants.COPYFILE_FICLONE))
}
