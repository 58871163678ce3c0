import { createHash } from 'node:crypto'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { BootwrightError } from '../system/index.ts'
import { Cache } from './cache.ts'
import type { StatFs } from './disk-space.ts'
import { toolsOrigin } from './distribution.ts'
import { hostToolchain } from './host-toolchain.ts'
import { findMkosi, type Mkosi, readyMkosi, requireHostMkosi } from './mkosi.ts'
import { findPackageSources, noMirror, type PackageSources } from './package-sources.ts'
import { sandboxTree } from './sandbox-tree.ts'
import type { Toolchain } from './toolchain.ts'
import { findToolsTree, type ToolsTree, toolsTree } from './tools-tree.ts'
import { treeToolchain } from './tree-toolchain.ts'

/** What set-up does, in this order; each may be done already. */
export type SetupStep = 'sources' | 'mkosi' | 'tools'

export interface SetupOptions {
  readonly toolchain?: 'managed' | 'host'
  /** Base address of a mirror of Debian's archive; without it, the one of the host's apt configuration. */
  readonly mirror?: string | undefined
  /** Pins Debian's archive to a time, `YYYYMMDDTHHMMSSZ`. */
  readonly snapshot?: string | undefined
  readonly cache?: Cache
  /** How free disk space is found out; for tests. */
  readonly statFs?: StatFs
  /** The host's os-release(5), for tests. */
  readonly osReleaseFile?: string
  /** What the host's firmware lies below, for tests. */
  readonly root?: string
  readonly signal?: AbortSignal | undefined
  /** Called when there is work to do or somebody else's to wait for; never when everything is ready. */
  readonly onProgress?: (step: SetupStep, line: string) => void
}

/**
 * Makes everything ready that the other parts run, and hands it out. When nothing changed since the last time, this
 * reads a few small files and starts no process.
 */
export async function setUp(options: SetupOptions = {}): Promise<Toolchain> {
  const cache = options.cache ?? new Cache()
  const { signal, snapshot } = options
  const lockOptions = (step: SetupStep) => ({
    signal,
    onWait: () => options.onProgress?.(step, 'waiting for another process that makes the same'),
  })
  const progress = (step: SetupStep) => (line: string) => options.onProgress?.(step, line)

  // Kept from one step to the next, but looked for only when a step needs it.
  let found: Promise<PackageSources> | undefined
  const sources = (toolsRoot?: string): Promise<PackageSources> => {
    if (found === undefined) options.onProgress?.('sources', 'reading the apt configuration')
    found ??= findPackageSources({ ...options, toolsRoot })
    return found
  }

  if (options.toolchain === 'host') {
    const tree = await currentSandboxTree(cache, options, sources).catch((error: unknown) => {
      // Without apt there are no sources to hand on, and the host's tools may build from another distribution.
      if (options.mirror === undefined && error instanceof BootwrightError && error.family === 'host') return undefined
      throw error
    })
    return hostToolchain(cache, tree, options)
  }
  const origin = await toolsOrigin(options)
  const makeTree = (mkosi: Mkosi, sandboxTree?: string): Promise<ToolsTree> =>
    toolsTree(cache, mkosi, {
      ...lockOptions('tools'),
      origin,
      snapshot,
      sandboxTree,
      onProgress: progress('tools'),
      ...(options.statFs === undefined ? {} : { statFs: options.statFs }),
    })
  if (origin.distribution === 'debian') {
    const sandbox = await currentSandboxTree(cache, options, sources)
    const mkosi = await findMkosi(cache, sources, snapshot, { ...lockOptions('mkosi'), onProgress: progress('mkosi') })
    return treeToolchain(cache, await makeTree(mkosi, sandbox), mkosi, sandbox)
  }
  // Told before minutes of work: the tree is the host's own, but the images are still Debian's.
  if (options.mirror === undefined) throw noMirror(`${origin.hostName} has no apt, so it names`)
  const mkosi = await requireHostMkosi(cache, origin)
  const tree = await makeTree(mkosi)
  const sandbox = await currentSandboxTree(cache, options, () => sources(tree.root))
  return treeToolchain(cache, tree, mkosi, sandbox)
}

/** The managed tools if they were made already, for those who may only look. Fetches and makes nothing. */
export async function readyToolchain(options: SetupOptions = {}): Promise<Toolchain | undefined> {
  const cache = options.cache ?? new Cache()
  if (options.toolchain === 'host') return setUp({ ...options, cache })
  const origin = await toolsOrigin(options)
  const mkosi = await readyMkosi(cache, options.snapshot, origin)
  if (mkosi === undefined) return undefined
  const tree = await findToolsTree(cache, mkosi.version, origin, options.snapshot)
  if (tree === undefined) return undefined
  const toolsRoot = origin.distribution === 'debian' ? undefined : tree.root
  const sandbox = await currentSandboxTree(cache, options, () => findPackageSources({ ...options, toolsRoot }))
  return treeToolchain(cache, tree, mkosi, sandbox)
}

/**
 * The sandbox tree, without asking apt-config (which takes longer than everything else together) when no file of the
 * host's apt configuration has changed.
 */
async function currentSandboxTree(
  cache: Cache,
  options: SetupOptions,
  sources: () => Promise<PackageSources>,
): Promise<string> {
  const key = await aptFingerprint(options)
  const known = (await cache.recall('package-sources')) as { key?: string; name?: string } | undefined
  if (known?.key === key && typeof known.name === 'string') {
    const tree = await cache.find('sources', known.name)
    if (tree !== undefined) return tree
  }
  const tree = await sandboxTree(cache, await sources())
  await cache.remember('package-sources', { key, name: tree.slice(tree.lastIndexOf('/') + 1) })
  return tree
}

async function aptFingerprint(options: SetupOptions): Promise<string> {
  const hash = createHash('sha256')
  hash.update(JSON.stringify([options.mirror, options.snapshot, process.env.http_proxy, process.env.https_proxy]))
  const configuration = process.env.APT_CONFIG
  hash.update(configuration === undefined ? '' : await readFile(configuration, 'utf8').catch(() => ''))
  for (const directory of ['/etc/apt', '/usr/share/keyrings']) {
    const files = await readdir(directory, { recursive: true }).catch(() => [])
    for (const file of files.sort()) {
      const facts = await stat(join(directory, file)).catch(() => undefined)
      hash.update(`${file} ${facts?.size} ${facts?.mtimeMs}\n`)
    }
  }
  return hash.digest('hex')
}
