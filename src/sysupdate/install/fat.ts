import { closeSync, fsyncSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { asHostError, BootwrightError, run } from '../../system/index.ts'
import type { FileTarget } from '../destination.ts'
import { type FatPlace, openFat } from '../fat-place.ts'
import { acquireDirectory, type Tree } from './directory.ts'
import { acquireFile } from './file.ts'
import { PARTIAL, PENDING } from './names.ts'
import type { AcquireOptions, Payload } from './payload-source.ts'

const TEMPORARY = /^(?:\.#|\.sysupdate\.partial\.)/
/** What mdir(1) says last of all, with blanks between the thousands. */
const BYTES_FREE = /([\d ]+) bytes free/

/**
 * Puts a file or directory into a FAT file system of a disk image and leaves it there, whole, beside its final name (pending).
 * It is made and verified outside first, so that the image only ever gets what is right. By mtools, which neither mount it nor need
 * to be root. Rejects with what {@link acquireFile} says, and with `TOOL_MISSING` without mtools.
 */
export async function acquireInFat(
  fat: FatPlace,
  target: FileTarget,
  source: { readonly file: Payload } | { readonly tree: Tree },
  options: AcquireOptions = {},
): Promise<void> {
  const outside = mkdtempSync(join(tmpdir(), 'bootwright-fat-'))
  try {
    const name = baseOf(target.name)
    const aside = { ...target, root: outside, directory: '/', links: 'strict' as const, name, readOnly: false }
    // The image is locked, and nobody else knows the directory.
    const { lock: _, ...others } = options
    if ('file' in source) await acquireFile(aside, source.file, others)
    else await acquireDirectory(aside, source.tree, others)
    const made = join(outside, PENDING + name)
    const room = await roomIn(fat)
    const size = await sizeOf(made)
    if (size > room) {
      throw new BootwrightError('NO_SPACE', `${target.name} has ${size} bytes, and ${fat.path} has room for ${room}`, {
        hint: 'Vacuum old versions, or make the file system larger.',
      })
    }
    const [partial, pending] = [PARTIAL, PENDING].map((prefix) => besides(fat, target.name, prefix)) as [string, string]
    await makeDirectories(fat, dirname(partial))
    for (const path of [partial, pending]) await removePath(fat, path)
    await mtool(fat, 'mcopy', '-s', '-m', '-Q', '-n', made, `::${partial}`)
    await mtool(fat, 'mren', `::${partial}`, `::${pending}`)
    sync(fat, options)
  } catch (error) {
    throw asHostError(error, `Cannot write ${target.name}`)
  } finally {
    rmSync(outside, { recursive: true, force: true })
  }
}

/** The counterpart of {@link activate}: a file that has the name is replaced. */
export async function activateInFat(
  kind: 'file' | 'directory',
  fat: FatPlace,
  target: FileTarget,
  options: Pick<AcquireOptions, 'isSynced'> & { readonly pendingName?: string | undefined } = {},
): Promise<void> {
  const [pending, final] = [
    besides(fat, options.pendingName ?? target.name, PENDING),
    besides(fat, target.name, ''),
  ] as const
  using volume = openFat(fat)
  const [waiting, present] = [volume.find(pending), volume.find(final)]
  const isKind = (one: { readonly isDirectory: boolean }): boolean => one.isDirectory === (kind === 'directory')
  if (waiting === undefined && present !== undefined && isKind(present)) return
  if (waiting === undefined || !isKind(waiting)) {
    throw new BootwrightError('UPDATE_REFUSED', `${target.name} does not wait to be installed`, {
      hint: 'Acquire the update again.',
    })
  }
  if (present !== undefined && (present.isDirectory || kind === 'directory')) {
    throw new BootwrightError('UPDATE_REFUSED', `Something else is where the ${kind} ${target.name} should be`, {
      hint: 'Move it away.',
    })
  }
  await removePath(fat, final)
  await rename(fat, pending, final)
  if (target.readOnly === true && kind === 'file') await mtool(fat, 'mattrib', '+r', `::${final}`)
  sync(fat, options)
}

/** Removes a file or directory below the target's directory, then the directories on the way that are empty by now. */
export async function removeFromFat(fat: FatPlace, name: string): Promise<void> {
  await removePath(fat, besides(fat, name, ''))
  for (let path = dirname(name); path !== '.'; path = dirname(path)) {
    using volume = openFat(fat)
    const full = besides(fat, path, '')
    if (volume.list(full)?.length !== 0) break
    await mtool(fat, 'mrd', `::${full}`)
  }
  sync(fat)
}

/** Removes what runs that were ended have left in the target's directory. */
export async function removeTemporaryFromFat(fat: FatPlace): Promise<void> {
  using volume = openFat(fat)
  const names = (volume.list(fat.directory) ?? []).map(({ name }) => name).filter((name) => TEMPORARY.test(name))
  for (const name of names) await removePath(fat, besides(fat, name, ''))
}

/** A path in the file system, for a name below the target's directory. */
function besides({ directory }: FatPlace, name: string, prefix: string): string {
  const at = name.lastIndexOf('/') + 1
  return `${directory.replace(/\/+$/, '')}/${name.slice(0, at)}${prefix}${name.slice(at)}`
}

function baseOf(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1)
}

/** What fits into a short name: mren(1) writes it in capitals. */
const SHORT = /^[\w!#$%&'()@^`{}~-]{1,8}(?:\.[\w!#$%&'()@^`{}~-]{1,3})?$/

async function rename(fat: FatPlace, from: string, to: string): Promise<void> {
  const name = baseOf(to)
  if (!SHORT.test(name) || !/[a-z]/.test(name)) {
    await mtool(fat, 'mren', `::${from}`, `::${to}`)
    return
  }
  // What waits stays until all of it is there under the other name.
  const outside = mkdtempSync(join(tmpdir(), 'bootwright-fat-'))
  try {
    await mtool(fat, 'mcopy', '-s', '-m', '-Q', '-n', `::${from}`, join(outside, name))
    await mtool(fat, 'mcopy', '-s', '-m', '-Q', '-n', join(outside, name), `::${to}`)
    await removePath(fat, from)
  } finally {
    rmSync(outside, { recursive: true, force: true })
  }
}

async function removePath(fat: FatPlace, path: string): Promise<void> {
  using volume = openFat(fat)
  const found = volume.find(path)
  if (found === undefined) return
  await mtool(fat, 'mattrib', '-r', ...(found.isDirectory ? ['-/'] : []), `::${path}`)
  await mtool(fat, found.isDirectory ? 'mdeltree' : 'mdel', `::${path}`)
}

async function makeDirectories(fat: FatPlace, path: string): Promise<void> {
  using volume = openFat(fat)
  const parts = path.split('/').filter((part) => part !== '')
  for (let count = 1; count <= parts.length; count++) {
    const one = `/${parts.slice(0, count).join('/')}`
    if (volume.list(one) === undefined) await mtool(fat, 'mmd', `::${one}`)
  }
}

/** Of all that is below a path, each file in whole clusters of the largest size there is. */
async function sizeOf(path: string): Promise<number> {
  const { stdout } = await run({ argv: ['du', '--apparent-size', '--block-size=1', '--summarize', '--', path] })
  return Number.parseInt(stdout, 10)
}

async function roomIn(fat: FatPlace): Promise<number> {
  const listing = await mtool(fat, 'mdir', '::/')
  return Number((BYTES_FREE.exec(listing)?.[1] ?? '0').replaceAll(' ', ''))
}

async function mtool({ disk, offset }: FatPlace, program: string, ...args: readonly string[]): Promise<string> {
  const env = { LC_ALL: 'C', MTOOLS_SKIP_CHECK: '1' }
  const { stdout } = await run({ argv: [program, '-i', `${disk}@@${offset}`, ...args], env })
  return stdout
}

function sync({ disk }: FatPlace, { isSynced = true }: Pick<AcquireOptions, 'isSynced'> = {}): void {
  if (!isSynced) return
  const fd = openSync(disk, 'r+')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}
