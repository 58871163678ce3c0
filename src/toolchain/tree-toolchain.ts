import { createHash } from 'node:crypto'
import { lstat, mkdir, realpath, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { BootwrightError } from '../system/index.ts'
import type { Cache } from './cache.ts'
import type { Mkosi } from './mkosi.ts'
import type { Toolchain } from './toolchain.ts'
import { ENTER_TREE, packageCache, type ToolsTree } from './tools-tree.ts'

const CHECKOUT = join(import.meta.dirname, '../..')

/** What enter-tree.sh makes of the environment. */
const INSIDE = [
  '/usr/bin/env',
  ...['LD_LIBRARY_PATH', 'LD_PRELOAD', 'PYTHONPATH', 'PYTHONHOME'].map((name) => `--unset=${name}`),
  'PATH=/usr/sbin:/usr/bin',
  'LC_ALL=C.UTF-8',
]

/**
 * The tools of a managed tree. `keep` names paths that commands must see although they lie below the host's `/usr`;
 * this program, the cache, Node and the working directory are among them by themselves.
 */
export async function treeToolchain(
  cache: Cache,
  tree: ToolsTree,
  mkosi: Mkosi,
  sandboxTree: string,
  keep: readonly string[] = [],
): Promise<Toolchain> {
  await requireMergedUsr()
  const kept = await belowUsr([CHECKOUT, cache.directory, process.cwd(), process.execPath, ...keep])
  const stage = await mountPoints(cache, kept)
  const mkosiArguments = [
    `--tools-tree=${tree.root}`,
    `--sandbox-tree=${sandboxTree}`,
    `--package-cache-directory=${packageCache(cache)}`,
  ]
  await mkdir(packageCache(cache), { recursive: true })
  return {
    kind: 'managed',
    identity: tree.identity,
    root: tree.root,
    command: (argv, options = {}) => ({
      ...options,
      name: argv[0] ?? '',
      argv: ['sh', ENTER_TREE, tree.root, stage, ...kept, '--', ...argv],
    }),
    inside: (argv) => ({ name: argv[0] ?? '', argv: [...INSIDE, ...argv] }),
    mkosi: (args, options = {}) => mkosi.command([...mkosiArguments, ...args], options),
    sandboxTree,
    versions: tree.versions,
  }
}

/** Those of the paths that lie below /usr, resolved, without those that lie below another of them. */
export async function belowUsr(paths: readonly string[]): Promise<string[]> {
  const real = new Set<string>()
  for (const path of paths) {
    const resolved = await realpath(path).catch(() => path)
    if (resolved.startsWith('/usr/')) real.add(resolved)
  }
  return [...real].filter((path) => ![...real].some((other) => path.startsWith(`${other}/`))).sort()
}

/** The directories that a command's own mount namespace mounts on; outside of it they stay empty. */
async function mountPoints(cache: Cache, kept: readonly string[]): Promise<string> {
  const name = createHash('sha256').update(JSON.stringify(kept)).digest('hex').slice(0, 16)
  return cache.entry('stage', name, async (directory) => {
    await mkdir(join(directory, 'etc'))
    await mkdir(join(directory, 'usr'))
    for (const path of kept) {
      const point = join(directory, 'keep', path.slice('/usr/'.length))
      const isDirectory = (await stat(path)).isDirectory()
      await mkdir(isDirectory ? point : dirname(point), { recursive: true })
      if (!isDirectory) await writeFile(point, '')
    }
  })
}

/** The tree's /usr can replace the host's only where programs and libraries lie in it. */
async function requireMergedUsr(): Promise<void> {
  for (const path of ['/bin', '/lib', '/lib64']) {
    const found = await lstat(path).catch(() => undefined)
    if (found === undefined || found.isSymbolicLink()) continue
    throw new BootwrightError('HOST_UNSUITABLE', `${path} should be a link into /usr, but is a directory`, {
      hint: 'Use the tools of this host: --toolchain host.',
    })
  }
}
