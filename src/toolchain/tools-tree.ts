import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { BootwrightError, run, runUnchecked } from '../system/index.ts'
import { type Cache, removeTree } from './cache.ts'
import { requireSpace, type StatFs } from './disk-space.ts'
import type { ToolsOrigin } from './distribution.ts'
import { TOOLS_RECIPES } from './distribution-packages.ts'
import { installedVersions } from './dpkg-status.ts'
import { findFirmware, provideFirmware } from './firmware-files.ts'
import { isFetchFailure, packageSourceError } from './isolated-apt.ts'
import type { LockOptions } from './lock.ts'
import type { Mkosi } from './mkosi.ts'
import { TOOLS_RELEASE } from './package-sources.ts'

/** A finished tools tree. */
export interface ToolsTree {
  /** The root directory that mkosi takes as `--tools-tree=`. */
  readonly root: string
  /** Hash over the exact versions inside. Two trees of one name can differ in it, because the release moves on. */
  readonly identity: string
  readonly versions: Readonly<Record<string, string>>
}

export interface ToolsTreeOptions extends LockOptions {
  readonly origin: ToolsOrigin
  readonly snapshot?: string | undefined
  /** The package sources, which only Debian's tree needs: another distribution's are mkosi's own defaults. */
  readonly sandboxTree?: string | undefined
  readonly onProgress?: (line: string) => void
  readonly statFs?: StatFs
}

/** Runs a program with the `/usr` of a tree; its usage is described in the script. */
export const ENTER_TREE = join(import.meta.dirname, 'enter-tree.sh')

/** The tree, the packages fetched for it, and what mkosi needs beside it while it works. */
const NEEDED_MIB = 2_500

/** Raised when the way in which a tree is made changes. */
const RECIPE = 1

/** The name of the tree in the cache: everything that decides what it is made of, but not where that comes from. */
export function toolsTreeName(mkosiVersion: string, origin: ToolsOrigin, snapshot: string | undefined): string {
  const { distribution } = origin
  const pinned = distribution === 'debian' ? (snapshot ?? '') : ''
  const { packages } = TOOLS_RECIPES[distribution]
  const inputs = [RECIPE, distribution, releaseOf(origin), process.arch, mkosiVersion, pinned, ...packages]
  return createHash('sha256').update(JSON.stringify(inputs)).digest('hex').slice(0, 16)
}

/** The tree if it was made already. Reads one small file. */
export async function findToolsTree(
  cache: Cache,
  mkosiVersion: string,
  origin: ToolsOrigin,
  snapshot: string | undefined,
): Promise<ToolsTree | undefined> {
  const entry = await cache.find('tools', toolsTreeName(mkosiVersion, origin, snapshot))
  return entry === undefined ? undefined : readToolsTree(entry)
}

/** The tree, made now by mkosi if there is none: a minute or two, about 700 MB. */
export async function toolsTree(cache: Cache, mkosi: Mkosi, options: ToolsTreeOptions): Promise<ToolsTree> {
  const entry = await cache.entry(
    'tools',
    toolsTreeName(mkosi.version, options.origin, options.snapshot),
    async (directory) => {
      await requireSpace('The tools tree', cache.directory, NEEDED_MIB, options)
      await makeToolsTree(directory, packageCache(cache), mkosi, options)
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
  options: ToolsTreeOptions,
): Promise<void> {
  const { onProgress, origin, sandboxTree } = options
  const work = join(directory, 'work')
  // Beside it, because mkosi mounts the directory of its configuration as sources into its sandbox.
  const workspace = join(directory, 'workspace')
  await mkdir(work)
  await mkdir(workspace)
  await mkdir(packages, { recursive: true })
  await writeFile(join(work, 'mkosi.conf'), toolsTreeConfiguration(origin))
  const args = [
    `--directory=${work}`,
    ...(sandboxTree === undefined ? [] : [`--sandbox-tree=${sandboxTree}`, `--tools-tree-sandbox-tree=${sandboxTree}`]),
    `--package-cache-directory=${packages}`,
    `--workspace-directory=${workspace}`,
    'build',
  ]
  const command = mkosi.command(args, { env: { TMPDIR: workspace } })
  // A mkosi whose maker was killed must not go on in a directory that the next maker removes.
  const result = await runUnchecked(command, {
    withDescendants: true,
    signal: options.signal,
    ...(onProgress === undefined ? {} : { onLine: (line) => onProgress(plain(line)) }),
  })
  if (result.exitCode !== 0) {
    const output = plain(`${result.stdout}\n${result.stderr}`)
    if (origin.distribution === 'debian' && isFetchFailure(output)) {
      throw packageSourceError('the packages of the tools tree', output, {
        snapshot: options.snapshot,
        isSandboxed: true,
      })
    }
    throw new BootwrightError('TOOL_FAILED', `mkosi could not make the tools tree: ${tail(output)}`, {
      hint: 'Run `./bootwright doctor` to see what this host lacks, then `./bootwright setup` to try again.',
      detail: { exitCode: result.exitCode },
    })
  }
  await rename(join(work, 'mkosi.tools'), join(directory, 'tree'))
  await removeTree(work)
  await removeTree(workspace)
  const root = join(directory, 'tree')
  const installed = await packagesIn(root, origin)
  const recipe = TOOLS_RECIPES[origin.distribution]
  const missing = recipe.packages.filter((name) => !installed.has(name))
  // Elsewhere a name may stand for what another package provides, and mkosi fails when nothing does.
  if (origin.distribution === 'debian' && missing.length > 0) {
    throw new BootwrightError('TOOL_FAILED', `The tools tree that mkosi made lacks ${missing.join(', ')}`, {
      hint: 'Use a mirror of the whole Debian archive: --mirror URL.',
    })
  }
  if (origin.distribution !== 'debian') await requireFirmware(root, join(directory, 'stage'), origin)
  const versions: Record<string, string> = { mkosi: mkosi.version }
  for (const [name, packageName] of Object.entries(recipe.shaping)) {
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
export function toolsTreeConfiguration(origin: ToolsOrigin): string {
  const { distribution } = origin
  const release = releaseOf(origin)
  return [
    '[Distribution]',
    `Distribution=${distribution}`,
    ...(release === '' ? [] : [`Release=${release}`]),
    '[Output]',
    'Format=none',
    '[Build]',
    'ToolsTree=default',
    `ToolsTreeDistribution=${distribution}`,
    ...(release === '' ? [] : [`ToolsTreeRelease=${release}`]),
    'ToolsTreeProfiles=',
    'ToolsTreePackages=',
    ...TOOLS_RECIPES[distribution].packages.map((name) => `        ${name}`),
    '',
  ].join('\n')
}

/** Without one, mkosi takes its own default. */
function releaseOf({ distribution, release }: ToolsOrigin): string {
  return distribution === 'debian' ? TOOLS_RELEASE : (release ?? '')
}

/** Versions of the packages installed in a tree, by name. */
async function packagesIn(root: string, { distribution }: ToolsOrigin): Promise<Map<string, string>> {
  if (distribution === 'debian') {
    return installedVersions(await readFile(join(root, 'var/lib/dpkg/status'), 'utf8'))
  }
  const installed = new Map<string, string>()
  if (distribution === 'fedora') {
    const format = '%{NAME} %{EPOCHNUM}:%{VERSION}-%{RELEASE}\n'
    const database = join(root, 'usr/lib/sysimage/rpm')
    const { stdout } = await run({ argv: ['rpm', '--dbpath', database, '--query', '--all', '--queryformat', format] })
    for (const [, name, version] of stdout.matchAll(/^(\S+) (\S+)$/gm)) {
      installed.set(name ?? '', (version ?? '').replace(/^0:/, ''))
    }
    return installed
  }
  // A directory a package: NAME-VERSION-RELEASE, of which only the name may hold more dashes.
  for (const entry of await readdir(join(root, 'var/lib/pacman/local'))) {
    const [, name, version] = /^(.+)-([^-]+-[^-]+)$/.exec(entry) ?? []
    if (name !== undefined && version !== undefined) installed.set(name, version)
  }
  return installed
}

/** The other parts know the firmware by Debian's names. */
async function requireFirmware(root: string, stage: string, { hostName }: ToolsOrigin): Promise<void> {
  const firmware = await findFirmware(root)
  if (firmware.missing.length > 0) {
    throw new BootwrightError('TOOL_FAILED', `The OVMF of ${hostName} lacks ${firmware.missing.join(', ')}`, {
      hint: 'Use the tools of this host (--toolchain host) with an OVMF that has 4 MiB builds.',
    })
  }
  for (const point of ['etc', 'usr']) await mkdir(join(stage, point), { recursive: true })
  await provideFirmware(firmware, root, (argv) => ({
    name: argv[0] ?? '',
    argv: ['sh', ENTER_TREE, root, stage, '--', ...argv],
  }))
  await removeTree(stage)
}

async function readToolsTree(entry: string): Promise<ToolsTree> {
  const record = JSON.parse(await readFile(join(entry, 'tools.json'), 'utf8')) as Omit<ToolsTree, 'root'>
  return { root: join(entry, 'tree'), identity: record.identity, versions: record.versions }
}

function plain(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: terminal colours begin with one
  return text.replace(/\u001b\[[0-9;]*m/g, '')
}

function tail(output: string): string {
  return output.trim().split('\n').slice(-6).join('\n')
}
