import { access, constants, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { BootwrightError, type Command, runUnchecked } from '../system/index.ts'
import type { Cache } from './cache.ts'
import type { ToolsOrigin } from './distribution.ts'
import { TOOLS_RECIPES } from './distribution-packages.ts'
import { fetchPackage } from './fetch-package.ts'
import type { LockOptions } from './lock.ts'
import { type PackageSources, TOOLS_RELEASE } from './package-sources.ts'
import { programPath } from './program-path.ts'
import { findPython, isAtLeast } from './python.ts'

/** The oldest mkosi whose settings this program uses. */
export const OLDEST_MKOSI = 27

/** A mkosi that can be started. */
export interface Mkosi {
  readonly version: string
  /** `host`, or `debian` for Debian's package unpacked into the cache. */
  readonly origin: 'host' | 'debian'
  command(args: readonly string[], options?: Omit<Command, 'argv'>): Command
}

/** The record beside an unpacked package. */
interface FetchedMkosi {
  readonly version: string
  readonly python: string
}

/** The host's mkosi if it is new enough, else Debian's package, fetched once and kept in the cache. */
export async function findMkosi(
  cache: Cache,
  sources: () => Promise<PackageSources>,
  snapshot: string | undefined,
  options: LockOptions & { onProgress?: (line: string) => void } = {},
): Promise<Mkosi> {
  const ready = await readyMkosi(cache, snapshot)
  if (ready !== undefined) return ready
  const entry = await cache.entry(
    'mkosi',
    entryName(snapshot),
    async (directory) => {
      options.onProgress?.(`fetching mkosi from Debian ${TOOLS_RELEASE}`)
      await fetchMkosi(directory, await sources(), options.signal)
    },
    options,
  )
  return fetchedMkosi(entry)
}

/** The host's mkosi, where none is fetched: Debian's package fits no other distribution's Python. */
export async function requireHostMkosi(cache: Cache, { distribution, hostName }: ToolsOrigin): Promise<Mkosi> {
  const own = await hostMkosi(cache)
  if (own !== undefined) return own
  const { installMkosi = 'install mkosi' } = TOOLS_RECIPES[distribution]
  throw new BootwrightError(
    'TOOL_MISSING',
    `mkosi ${OLDEST_MKOSI} or newer is needed, ${hostName} has ${(await hostMkosiVersion(cache)) ?? 'none'}`,
    { hint: `Install it (${installMkosi}); where that is older, put a mkosi of its upstream repository into PATH.` },
  )
}

/** The mkosi that can be started now, without fetching one. */
export async function readyMkosi(
  cache: Cache,
  snapshot: string | undefined,
  origin?: ToolsOrigin,
): Promise<Mkosi | undefined> {
  const own = await hostMkosi(cache)
  if (own !== undefined || (origin !== undefined && origin.distribution !== 'debian')) return own
  const entry = await cache.find('mkosi', entryName(snapshot))
  return entry === undefined ? undefined : fetchedMkosi(entry)
}

function entryName(snapshot: string | undefined): string {
  return snapshot === undefined ? TOOLS_RELEASE : `${TOOLS_RELEASE}-${snapshot}`
}

async function fetchedMkosi(entry: string): Promise<Mkosi> {
  const fetched = JSON.parse(await readFile(join(entry, 'mkosi.json'), 'utf8')) as FetchedMkosi
  const python = (await isExecutable(fetched.python)) ? fetched.python : (await findPython()).path
  const modules = join(entry, 'unpacked/usr/lib/python3/dist-packages')
  return {
    version: fetched.version,
    origin: 'debian',
    command: (args, more = {}) => ({
      ...more,
      argv: [python, '-m', 'mkosi', ...args],
      env: { ...more.env, PYTHONPATH: modules },
    }),
  }
}

/** The mkosi in the host's PATH, or undefined when there is none or it is too old. */
export async function hostMkosi(cache: Cache): Promise<Mkosi | undefined> {
  const path = await programPath('mkosi')
  if (path === undefined) return undefined
  const version = await versionOf(path, cache)
  if (!isAtLeast(version, [OLDEST_MKOSI])) return undefined
  return { version, origin: 'host', command: (args, more = {}) => ({ ...more, argv: [path, ...args] }) }
}

async function hostMkosiVersion(cache: Cache): Promise<string | undefined> {
  const path = await programPath('mkosi')
  return path === undefined ? undefined : versionOf(path, cache)
}

async function versionOf(path: string, cache: Cache): Promise<string> {
  const { size, mtimeMs } = await stat(path)
  const key = `${path} ${size} ${mtimeMs}`
  const known = (await cache.recall('host-mkosi')) as { key?: string; version?: string } | undefined
  if (known?.key === key && known.version !== undefined) return known.version
  const result = await runUnchecked({ argv: [path, '--version'] })
  const version = result.exitCode === 0 ? /\d+(?:\.\d+)*/.exec(result.stdout)?.[0] : undefined
  // Not remembered: what keeps it from starting may be put right without a change of the file.
  if (version === undefined) return 'a broken one'
  await cache.remember('host-mkosi', { key, version })
  return version
}

/**
 * Fetches Debian's package of mkosi through a private apt state and unpacks it into `directory`. The package is pure
 * Python; its dependencies are not installed, because the tools tree brings what mkosi runs.
 */
export async function fetchMkosi(directory: string, sources: PackageSources, signal?: AbortSignal): Promise<void> {
  // Before the download: there is no use in a mkosi that cannot be started.
  const python = await findPython()
  const { version } = await fetchPackage('mkosi', directory, sources, signal)
  if (!isAtLeast(version, [OLDEST_MKOSI])) {
    throw new BootwrightError(
      'PACKAGE_SOURCE',
      `mkosi ${OLDEST_MKOSI} or newer is needed, ${sources.release} has ${version}`,
      {
        hint: 'Use a mirror or snapshot that is newer.',
      },
    )
  }
  await writeFile(
    join(directory, 'mkosi.json'),
    JSON.stringify({ version, python: python.path } satisfies FetchedMkosi),
  )
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK)
    return path.includes('/')
  } catch {
    return false
  }
}
