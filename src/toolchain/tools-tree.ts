import { createHash } from 'node:crypto'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { BootwrightError, runUnchecked } from '../system/index.ts'
import { type Cache, removeTree } from './cache.ts'
import { requireSpace, type StatFs } from './disk-space.ts'
import { installedVersions } from './dpkg-status.ts'
import { isFetchFailure, packageSourceError } from './isolated-apt.ts'
import type { LockOptions } from './lock.ts'
import type { Mkosi } from './mkosi.ts'
import { TOOLS_RELEASE } from './package-sources.ts'
import { SHAPING_PACKAGES, TOOLS_PACKAGES } from './tools-packages.ts'

/** A finished tools tree. */
export interface ToolsTree {
  /** The root directory that mkosi takes as `--tools-tree=`. */
  readonly root: string
  /** Hash over the exact versions inside. Two trees of one name can differ in it, because the release moves on. */
  readonly identity: string
  readonly versions: Readonly<Record<string, string>>
}

export interface ToolsTreeOptions extends LockOptions {
  readonly snapshot?: string | undefined
  readonly onProgress?: (line: string) => void
  readonly statFs?: StatFs
}

/** The tree, the packages fetched for it, and what mkosi needs beside it while it works. */
const NEEDED_MIB = 2_500

/** Raised when the way in which a tree is made changes. */
const RECIPE = 1

/** The name of the tree in the cache: everything that decides what it is made of, but not where that comes from. */
export function toolsTreeName(mkosiVersion: string, snapshot: string | undefined): string {
  const inputs = [RECIPE, 'debian', TOOLS_RELEASE, process.arch, mkosiVersion, snapshot ?? '', ...packageNames()]
  return createHash('sha256').update(JSON.stringify(inputs)).digest('hex').slice(0, 16)
}

/** The tree if it was made already. Reads one small file. */
export async function findToolsTree(
  cache: Cache,
  mkosiVersion: string,
  snapshot: string | undefined,
): Promise<ToolsTree | undefined> {
  const entry = await cache.find('tools', toolsTreeName(mkosiVersion, snapshot))
  return entry === undefined ? undefined : readToolsTree(entry)
}

/** The tree, made now by mkosi if there is none: a minute or two, about 700 MB. */
export async function toolsTree(
  cache: Cache,
  mkosi: Mkosi,
  sandboxTree: string,
  options: ToolsTreeOptions = {},
): Promise<ToolsTree> {
  const entry = await cache.entry(
    'tools',
    toolsTreeName(mkosi.version, options.snapshot),
    async (directory) => {
      await requireSpace('The tools tree', cache.directory, NEEDED_MIB, options.statFs)
      await makeToolsTree(directory, packageCache(cache), mkosi, sandboxTree, options)
    },
    options,
  )
  return readToolsTree(entry)
}

/** Where mkosi keeps the packages it fetched, for the tools tree and for images. */
export function packageCache(cache: Cache): string {
  return cache.path('packages')
}

async function makeToolsTree(
  directory: string,
  packages: string,
  mkosi: Mkosi,
  sandboxTree: string,
  options: ToolsTreeOptions,
): Promise<void> {
  const work = join(directory, 'work')
  // Beside it, because mkosi mounts the directory of its configuration as sources into its sandbox.
  const workspace = join(directory, 'workspace')
  await mkdir(work)
  await mkdir(workspace)
  await mkdir(packages, { recursive: true })
  await writeFile(join(work, 'mkosi.conf'), configuration())
  const command = mkosi.command([
    `--directory=${work}`,
    `--sandbox-tree=${sandboxTree}`,
    `--tools-tree-sandbox-tree=${sandboxTree}`,
    `--package-cache-directory=${packages}`,
    `--workspace-directory=${workspace}`,
    'build',
  ])
  // A mkosi whose maker was killed must not go on in a directory that the next maker removes.
  const argv = ['setpriv', '--pdeathsig', 'TERM', '--', ...command.argv]
  const { onProgress } = options
  const result = await runUnchecked(
    { ...command, argv },
    { signal: options.signal, ...(onProgress === undefined ? {} : { onLine: (line) => onProgress(plain(line)) }) },
  )
  if (result.exitCode !== 0) {
    const output = plain(`${result.stdout}\n${result.stderr}`)
    if (isFetchFailure(output)) throw packageSourceError('the packages of the tools tree', output)
    throw new BootwrightError('TOOL_FAILED', `mkosi could not make the tools tree: ${tail(output)}`, {
      hint: 'Run `./bootwright doctor` to see what this host lacks, then `./bootwright setup` to try again.',
      detail: { exitCode: result.exitCode },
    })
  }
  await rename(join(work, 'mkosi.tools'), join(directory, 'tree'))
  await removeTree(work)
  await removeTree(workspace)
  const status = await readFile(join(directory, 'tree/var/lib/dpkg/status'), 'utf8')
  const installed = installedVersions(status)
  const missing = packageNames().filter((name) => !installed.has(name))
  if (missing.length > 0) {
    throw new BootwrightError('TOOL_FAILED', `The tools tree that mkosi made lacks ${missing.join(', ')}`, {
      hint: 'Use a mirror of the whole Debian archive: --mirror URL.',
    })
  }
  const versions: Record<string, string> = { mkosi: mkosi.version }
  for (const [name, packageName] of Object.entries(SHAPING_PACKAGES)) {
    const version = installed.get(packageName)
    if (version !== undefined) versions[name] = version
  }
  const exact = [...installed].map(([name, version]) => `${name}=${version}`).sort()
  const identity = createHash('sha256')
    .update(JSON.stringify([mkosi.version, exact]))
    .digest('hex')
    .slice(0, 16)
  await writeFile(join(directory, 'tools.json'), JSON.stringify({ identity, versions }))
}

/** The dummy image, of no format, asks for nothing but its tools tree. */
function configuration(): string {
  return [
    '[Distribution]',
    'Distribution=debian',
    `Release=${TOOLS_RELEASE}`,
    '[Output]',
    'Format=none',
    '[Build]',
    'ToolsTree=default',
    'ToolsTreeDistribution=debian',
    `ToolsTreeRelease=${TOOLS_RELEASE}`,
    'ToolsTreeProfiles=',
    'ToolsTreePackages=',
    ...packageNames().map((name) => `        ${name}`),
    '',
  ].join('\n')
}

async function readToolsTree(entry: string): Promise<ToolsTree> {
  const record = JSON.parse(await readFile(join(entry, 'tools.json'), 'utf8')) as Omit<ToolsTree, 'root'>
  return { root: join(entry, 'tree'), identity: record.identity, versions: record.versions }
}

function packageNames(): string[] {
  return Object.keys(TOOLS_PACKAGES).sort()
}

function plain(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: terminal colours begin with one
  return text.replace(/\u001b\[[0-9;]*m/g, '')
}

function tail(output: string): string {
  return output.trim().split('\n').slice(-6).join('\n')
}
