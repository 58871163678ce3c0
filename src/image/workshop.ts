import { mkdir, readdir, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { type Cache, type LockOptions, lockFile, removeTree, tryLockFile } from '../toolchain/index.ts'

/** Incremental caches kept for each image name: the current one, and those of other branches or checkouts. */
const KEPT = 3

const KIND = 'images'
/** What build scripts keep, one directory an image: they find out by themselves what of it is still good. */
const BUILDS = 'builds'
const WORK = 'work'

/**
 * The place below the user's cache where mkosi works on an image and keeps the packages it installed, for builds with
 * the same base identity. Held by one process at a time; on disposal nothing unfinished is left in it.
 */
export class Workshop implements AsyncDisposable {
  readonly workspaceDirectory: string
  readonly incremental: { readonly cacheDirectory: string; readonly buildDirectory: string }
  readonly #directory: string
  readonly #lock: AsyncDisposable

  private constructor(directory: string, buildDirectory: string, lock: AsyncDisposable) {
    this.#directory = directory
    this.#lock = lock
    this.workspaceDirectory = join(directory, WORK)
    this.incremental = { cacheDirectory: join(directory, 'cache'), buildDirectory }
  }

  static async open(cache: Cache, image: string, base: string, options: LockOptions): Promise<Workshop> {
    const name = `${image}-${base}`
    await collectGarbage(cache, image, name)
    const lock = await lockFile(lockPath(cache, name), options)
    const workshop = new Workshop(cache.path(KIND, name), cache.path(BUILDS, image), lock)
    try {
      // A process that was killed may have left something.
      await workshop.#tidy()
      await mkdir(workshop.workspaceDirectory, { recursive: true })
      return workshop
    } catch (cause) {
      await lock[Symbol.asyncDispose]()
      throw cause
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.#tidy()
    } finally {
      await this.#lock[Symbol.asyncDispose]()
    }
  }

  /** Removes the workspace, and a cache in which mkosi was interrupted: it writes the manifest of a tree last. */
  async #tidy(): Promise<void> {
    await removeTree(this.workspaceDirectory)
    const files = new Set(await readdir(this.incremental.cacheDirectory).catch(() => []))
    const trees = [...files].filter((file) => /\.cache$/.test(file) && !/\.(?:metadata|build)\.cache$/.test(file))
    const isWhole = trees.every((tree) => files.has(tree.replace(/\.cache$/, '.manifest')))
    if (trees.length === 0 || !isWhole) await removeTree(this.#directory)
    else await utimes(this.#directory, new Date(), new Date())
  }
}

/** Removes what killed processes left of their work on any image; what is in use stays. */
export async function removeLeftWork(cache: Cache, except?: string): Promise<void> {
  for (const name of await readdir(cache.path(KIND)).catch(() => [])) {
    if (name === except) continue
    if (await isThere(cache.path(KIND, name, WORK))) await removeUnlessUsed(cache, name, WORK)
  }
}

/** Removes the oldest caches of this image too. */
async function collectGarbage(cache: Cache, image: string, current: string): Promise<void> {
  await removeLeftWork(cache, current)
  const found: { name: string; usedMs: number }[] = []
  for (const name of await readdir(cache.path(KIND)).catch(() => [])) {
    if (name === current) continue
    const facts = await stat(cache.path(KIND, name)).catch(() => undefined)
    const isOfImage = name.startsWith(`${image}-`) && /^[0-9a-f]{16}$/.test(name.slice(image.length + 1))
    if (isOfImage && facts !== undefined) found.push({ name, usedMs: facts.mtimeMs })
  }
  found.sort((a, b) => b.usedMs - a.usedMs)
  for (const { name } of found.slice(KEPT - 1)) await removeUnlessUsed(cache, name)
}

async function removeUnlessUsed(cache: Cache, name: string, ...below: readonly string[]): Promise<void> {
  await using lock = await tryLockFile(lockPath(cache, name))
  if (lock !== undefined) await removeTree(cache.path(KIND, name, ...below))
}

async function isThere(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined
}

function lockPath(cache: Cache, name: string): string {
  return cache.path('locks', `${KIND}-${name}`)
}
