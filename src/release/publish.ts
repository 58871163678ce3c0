import { createHash } from 'node:crypto'
import { constants, createReadStream } from 'node:fs'
import {
  copyFile,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { isOwnOpenPgpSignature, openPgpSignature, parsePe } from '../formats/index.ts'
import type { BuiltImage } from '../image/index.ts'
import { BootwrightError, run } from '../system/index.ts'
import { lockFile, requireSpace, type Toolchain } from '../toolchain/index.ts'
import { bestBeforeName, isBestBefore, withBestBefore } from './best-before.ts'
import { type ReleasePart, releaseParts } from './parts.ts'
import type { SigningKey } from './signing-key.ts'
import { formatSums, parseSums, type Sum } from './sums.ts'

export type Compression = 'zstd' | 'xz' | 'none'

export interface PublishOptions {
  readonly toolchain: Toolchain
  /** The repository; made if need be. */
  readonly directory: string
  /** Of partitions; a UKI is compressed inside. */
  readonly compression: Compression
  /** `YYYY-MM-DD`: from that day on nobody takes the manifest any more; null takes a date back, without it the last one stays. */
  readonly bestBefore?: string | null | undefined
  /** Undefined: the repository has no signatures. */
  readonly key: SigningKey | undefined
  readonly now: Date
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((file: string) => void) | undefined
}

/** What a repository has after a release. */
export interface Publication {
  readonly directory: string
  /** What belongs to the images, and whether it is new. */
  readonly files: readonly (Sum & { readonly isNew: boolean })[]
  /** Everything that the manifest lists. */
  readonly listed: readonly Sum[]
  readonly bestBefore: string | undefined
}

const SUMS = 'SHA256SUMS'
const SIGNATURE = 'SHA256SUMS.gpg'
/** The manifest and its signature lie in a directory that one link names, so that both change at once. */
const CURRENT = '.current'
const GENERATION = '.sums-'
const INCOMING = '.incoming-'
const LOCK = '.lock'
const COMPRESSORS: Readonly<Record<Compression, { suffix: string; argv: readonly string[] } | undefined>> = {
  zstd: { suffix: '.zst', argv: ['zstd', '--quiet', '--rm', '-T0', '-12'] },
  xz: { suffix: '.xz', argv: ['xz', '--threads=0'] },
  none: undefined,
}

/**
 * Adds images to an update repository for systemd-sysupdate(8): their split partitions and UKIs, `SHA256SUMS` over all that
 * is there, its signature, and a `BEST-BEFORE` marker. Versions stay beside each other.
 *
 * The files come first, then manifest and signature in one step: whoever reads meanwhile, or is left with what a killed
 * run has done, finds the last release whole. Publishing the same again changes nothing.
 *
 * Rejects with `INVALID_ARGUMENT` when a version is there with other content or the directory is not ours,
 * `UPDATE_UNTRUSTED` when its manifest is not signed by this key, `IMAGE_INCOMPLETE` for an image that cannot be released.
 */
export async function publish(images: readonly BuiltImage[], options: PublishOptions): Promise<Publication> {
  const { directory, now, onProgress } = options
  const bestBefore = options.bestBefore == null ? options.bestBefore : bestBeforeName(options.bestBefore, now)
  const parts: { image: BuiltImage; part: ReleasePart }[] = []
  for (const image of images) {
    const { machine } = parsePe(await readFile(image.ukiPath))
    for (const part of releaseParts(image, machine)) parts.push({ image, part })
  }
  await mkdir(directory, { recursive: true })
  await using _lock = await lockFile(join(directory, LOCK), { signal: options.signal })
  const before = await readSums(options)
  await removeLeftovers(directory)
  const neededMiB = parts.reduce((sum, { part }) => sum + part.size, 0) / 2 ** 20
  await requireSpace('The release', directory, Math.ceil(neededMiB) + 1)

  const incoming = await mkdtemp(join(directory, INCOMING))
  try {
    const made: Sum[] = []
    for (const { image, part } of parts) {
      options.signal?.throwIfAborted()
      onProgress?.(part.name)
      made.push(await prepare(join(image.directory, part.file), part, incoming, options))
    }
    for (const image of images) checkUnchanged(image, made, before)
    const files = made.map((sum) => ({ ...sum, isNew: !before.some(({ name }) => name === sum.name) }))
    for (const { name, isNew } of files) {
      if (isNew) await rename(join(incoming, name), join(directory, name))
    }
    const listed = withBestBefore([...before, ...files.filter(({ isNew }) => isNew)], bestBefore)
    const markers = listed.filter(({ name }) => isBestBefore(name)).map(({ name }) => name)
    for (const name of markers) await writeFile(join(directory, name), '')
    await syncDirectory(directory)
    if (formatSums(listed) !== formatSums(before)) await writeSums(listed, options)
    const plain = listed.map(({ name, sha256 }) => ({ name, sha256 }))
    await removeStaleMarkers(directory, markers)
    return { directory, files, listed: plain, bestBefore: markers[0]?.replace(/^BEST-BEFORE-/, '') }
  } finally {
    await rm(incoming, { recursive: true, force: true })
  }
}

/** The file as it is released, in `incoming`, on the disk for good; its name and hash. */
async function prepare(
  source: string,
  part: ReleasePart,
  incoming: string,
  { toolchain, compression, signal }: PublishOptions,
): Promise<Sum> {
  const plain = join(incoming, part.name)
  await copyFile(source, plain, constants.COPYFILE_FICLONE)
  if ((await sha256Of(plain)) !== part.sha256) {
    throw new BootwrightError('IMAGE_INCOMPLETE', `${source} has changed since it was built`, {
      hint: 'Build the image again with --force.',
    })
  }
  const compressor = part.kind === 'uki' ? undefined : COMPRESSORS[compression]
  if (compressor !== undefined) await run(toolchain.command([...compressor.argv, plain]), { signal })
  const name = `${part.name}${compressor?.suffix ?? ''}`
  await using file = await open(join(incoming, name), 'r+')
  await file.chmod(0o644)
  await file.sync()
  return { name, sha256: await sha256Of(join(incoming, name)) }
}

/** A version that somebody has installed must stay what it is. */
function checkUnchanged({ name, version }: BuiltImage, made: readonly Sum[], before: readonly Sum[]): void {
  const isOfIt = (sum: Sum): boolean => sum.name.startsWith(`${name}_${version}_`)
  const there = before.filter(isOfIt)
  if (there.length === 0) return
  if (formatSums(there) === formatSums(made.filter(isOfIt))) return
  throw new BootwrightError(
    'INVALID_ARGUMENT',
    `Version ${version} of ${name} is released already, with other content`,
    {
      hint: 'Give what is new a version of its own with --image-version, or compress it as it was.',
    },
  )
}

/** What the repository lists so far; none of it without the signature that belongs there. */
async function readSums({ directory, key }: PublishOptions): Promise<Sum[]> {
  const read = (name: string) =>
    readFile(join(directory, name)).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined
      throw error
    })
  const text = await read(SUMS)
  if (text === undefined) return []
  const signature = await read(SIGNATURE)
  const isOurs =
    key === undefined ? signature === undefined : isOwnOpenPgpSignature(key, text, signature ?? Buffer.alloc(0))
  if (!isOurs) {
    throw new BootwrightError(
      'UPDATE_UNTRUSTED',
      `${join(directory, SUMS)} ${key === undefined ? 'is signed' : `is not signed by the key ${key.fingerprint}`}`,
      { hint: 'What it lists would be signed with the rest: publish into a directory of its own, or with its key.' },
    )
  }
  const sums = parseSums(text.toString(), join(directory, SUMS))
  const there = new Set(await readdir(directory))
  const missing = sums.find(({ name }) => !there.has(name))
  if (missing === undefined) return sums
  throw new BootwrightError(
    'INVALID_ARGUMENT',
    `${missing.name} is listed in ${join(directory, SUMS)}, and not there`,
    {
      hint: 'Bring it back, or publish into a directory of its own.',
    },
  )
}

async function writeSums(sums: readonly Sum[], { directory, key, now }: PublishOptions): Promise<void> {
  const text = Buffer.from(formatSums(sums))
  const generation = await mkdtemp(join(directory, GENERATION))
  const write = async (name: string, bytes: Uint8Array): Promise<void> => {
    await using file = await open(join(generation, name), 'wx', 0o644)
    await file.writeFile(bytes)
    await file.sync()
  }
  await write(SUMS, text)
  if (key !== undefined) await write(SIGNATURE, openPgpSignature(key, text, now))
  await using handle = await open(generation)
  await handle.chmod(0o755)
  await handle.sync()
  await replaceLink(directory, CURRENT, generation.slice(directory.length + 1))
  await replaceLink(directory, SUMS, `${CURRENT}/${SUMS}`)
  if (key !== undefined) await replaceLink(directory, SIGNATURE, `${CURRENT}/${SIGNATURE}`)
  await syncDirectory(directory)
  await removeLeftovers(directory, generation.slice(directory.length + 1))
}

async function replaceLink(directory: string, name: string, target: string): Promise<void> {
  const aside = join(directory, `${INCOMING}link`)
  await rm(aside, { force: true })
  await symlink(target, aside)
  await rename(aside, join(directory, name))
}

/** What a killed run has left, and manifests that are no longer the current one. */
async function removeLeftovers(directory: string, current?: string): Promise<void> {
  const kept = current ?? (await readCurrent(directory))
  for (const name of await readdir(directory)) {
    const isLeft = name.startsWith(INCOMING) || (name.startsWith(GENERATION) && name !== kept)
    if (isLeft) await rm(join(directory, name), { recursive: true, force: true })
  }
}

async function readCurrent(directory: string): Promise<string | undefined> {
  return readlink(join(directory, CURRENT)).catch(() => undefined)
}

async function removeStaleMarkers(directory: string, current: readonly string[]): Promise<void> {
  for (const name of await readdir(directory)) {
    if (isBestBefore(name) && !current.includes(name)) await rm(join(directory, name))
  }
}

async function syncDirectory(directory: string): Promise<void> {
  await using handle = await open(directory)
  await handle.sync()
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer)
  return hash.digest('hex')
}
