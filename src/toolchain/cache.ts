import { randomBytes } from 'node:crypto'
import { chmod, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { isAbsolute, join, resolve } from 'node:path'
import { asHostError, BootwrightError, runUnchecked } from '../system/index.ts'
import { type LockOptions, lockFile, tryLockFile } from './lock.ts'

/**
 * The user's cache directory: `$BOOTWRIGHT_CACHE`, else `$XDG_CACHE_HOME/bootwright`, else `~/.cache/bootwright`.
 * A relative `$XDG_CACHE_HOME` is ignored, as the XDG Base Directory Specification asks.
 */
export function cacheDirectory(env: Readonly<Record<string, string | undefined>> = process.env): string {
  const own = env.BOOTWRIGHT_CACHE
  const xdg = env.XDG_CACHE_HOME
  let directory = join(env.HOME || homedir(), '.cache', 'bootwright')
  if (xdg !== undefined && isAbsolute(xdg)) directory = join(xdg, 'bootwright')
  if (own !== undefined && own !== '') directory = resolve(own)
  if (/[:,\\\n"]/.test(directory)) {
    throw new BootwrightError(
      'INVALID_ARGUMENT',
      `The cache directory "${directory}" contains one of : , " \\ or a line break, which apt, mkosi and mount cannot take`,
      { hint: 'Set BOOTWRIGHT_CACHE to another directory.' },
    )
  }
  return directory
}

/**
 * Things that are costly to make, kept by name: `<kind>/<name>/`. An entry that exists is complete, because it is made
 * aside and renamed; two processes that want the same one make it once.
 */
export class Cache {
  readonly directory: string

  constructor(directory: string = cacheDirectory()) {
    this.directory = resolve(directory)
  }

  /** A path inside the cache, for what manages itself (mkosi's package cache). */
  path(...parts: readonly string[]): string {
    return join(this.directory, ...parts)
  }

  /** The directory of an entry, or undefined when there is none yet. */
  async find(kind: string, name: string): Promise<string | undefined> {
    const entry = this.path(kind, name)
    return (await exists(entry)) ? entry : undefined
  }

  /**
   * The directory of an entry, made now if there is none. `make` fills an empty directory; when it fails, nothing stays.
   * What makers left that died is removed first.
   */
  async entry(
    kind: string,
    name: string,
    make: (directory: string) => Promise<void>,
    options: LockOptions = {},
  ): Promise<string> {
    const found = await this.find(kind, name)
    if (found !== undefined) return found
    const entry = this.path(kind, name)
    try {
      await mkdir(this.path(kind), { recursive: true })
      await this.#collectGarbage(kind, name)
      await using _lock = await lockFile(this.#lockPath(kind, name), options)
      if (await exists(entry)) return entry
      await this.#removeUnfinished(kind, name)
      const unfinished = this.path(kind, `.${name}.${randomBytes(4).toString('hex')}`)
      try {
        await mkdir(unfinished)
        await make(unfinished)
        await rename(unfinished, entry)
      } catch (cause) {
        await removeTree(unfinished).catch(() => {})
        throw cause
      }
      return entry
    } catch (cause) {
      throw asCacheError(cause, this.directory)
    }
  }

  /** What `remember` kept under this name, or undefined. A damaged record counts as none. */
  async recall(name: string): Promise<unknown> {
    try {
      return JSON.parse(await readFile(this.path('remembered', `${name}.json`), 'utf8'))
    } catch {
      return undefined
    }
  }

  /** Keeps a small fact that was costly to find out. */
  async remember(name: string, fact: unknown): Promise<void> {
    try {
      await mkdir(this.path('remembered'), { recursive: true })
      const file = this.path('remembered', `${name}.json`)
      const aside = `${file}.${randomBytes(4).toString('hex')}`
      await writeFile(aside, `${JSON.stringify(fact)}\n`)
      await rename(aside, file)
    } catch (cause) {
      throw asCacheError(cause, this.directory)
    }
  }

  #lockPath(kind: string, name: string): string {
    return this.path('locks', `${kind}-${name}`)
  }

  /** Removes what dead makers of other entries left: a live maker holds its entry's lock. */
  async #collectGarbage(kind: string, except: string): Promise<void> {
    const names = new Set<string>()
    for (const file of await readdir(this.path(kind))) {
      const name = unfinishedName(file)
      if (name !== undefined && name !== except) names.add(name)
    }
    for (const name of names) {
      await using lock = await tryLockFile(this.#lockPath(kind, name))
      if (lock !== undefined) await this.#removeUnfinished(kind, name)
    }
  }

  async #removeUnfinished(kind: string, name: string): Promise<void> {
    for (const file of await readdir(this.path(kind))) {
      if (unfinishedName(file) === name) await removeTree(this.path(kind, file))
    }
  }
}

/** Removes a directory tree, also one with directories that its owner may not write, as packages leave them. */
export async function removeTree(directory: string): Promise<void> {
  if (!(await exists(directory))) return
  await chmod(directory, 0o700)
  await runUnchecked({ argv: ['chmod', '-R', 'u+rwX', '--', directory] })
  await rm(directory, { recursive: true, force: true })
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ENOENT' || code === 'ENOTDIR') return false
    throw error
  }
}

function unfinishedName(file: string): string | undefined {
  return /^\.(.+)\.[0-9a-f]{8}$/.exec(file)?.[1]
}

function asCacheError(cause: unknown, directory: string): unknown {
  const hint = 'Set BOOTWRIGHT_CACHE to a directory of your own, on a disk with some space.'
  return asHostError(cause, `Cannot write to the cache in ${directory}`, hint)
}
