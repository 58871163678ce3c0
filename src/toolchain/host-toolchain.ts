import { createHash } from 'node:crypto'
import { mkdir, readFile, stat } from 'node:fs/promises'
import { BootwrightError, runUnchecked } from '../system/index.ts'
import type { Cache } from './cache.ts'
import { readOsRelease } from './distribution.ts'
import { type FoundFirmware, findFirmware, provideFirmware } from './firmware-files.ts'
import { HOST_TOOLS, type HostTool, packageOf } from './host-tools.ts'
import { hostMkosi, OLDEST_MKOSI } from './mkosi.ts'
import { programPath, searchPath } from './program-path.ts'
import { isAtLeast } from './python.ts'
import type { Toolchain } from './toolchain.ts'
import { packageCache } from './tools-tree.ts'

export interface HostToolchainOptions {
  /** The host's os-release(5), for tests. */
  readonly osReleaseFile?: string | undefined
  /** What the host's firmware lies below, for tests. */
  readonly root?: string | undefined
}

/** The host's own tools; rejects with `TOOL_MISSING` naming all that are missing or too old. */
export async function hostToolchain(
  cache: Cache,
  sandboxTree: string | undefined,
  options: HostToolchainOptions = {},
): Promise<Toolchain> {
  const { ids } = await readOsRelease(options.osReleaseFile)
  const versions: Record<string, string> = {}
  const complaints: string[] = []
  const packages = new Set<string>()
  const known = await knownVersions(cache)
  for (const tool of HOST_TOOLS) {
    const version = await known.of(tool)
    if (version !== undefined && (tool.oldest === undefined || isAtLeast(version, tool.oldest))) {
      versions[tool.name] = version
      continue
    }
    const wanted = tool.oldest === undefined ? tool.name : `${tool.name} ${tool.oldest.join('.')} or newer`
    complaints.push(`${wanted} (found ${version ?? 'none'})`)
    packages.add(packageOf(tool, ids))
  }
  await known.remember()
  const mkosi = await hostMkosi(cache)
  if (mkosi === undefined) {
    complaints.push(`mkosi ${OLDEST_MKOSI} or newer`)
    packages.add('mkosi')
  }
  const hostRoot = options.root ?? '/'
  const found = await findFirmware(hostRoot)
  if (found.missing.length > 0) {
    complaints.push(`OVMF (without ${found.missing.join(', ')})`)
    packages.add(packageOf({ package: 'ovmf', elsewhere: { fedora: 'edk2-ovmf', arch: 'edk2-ovmf' } }, ids))
  }
  if (mkosi === undefined || complaints.length > 0) {
    throw new BootwrightError('TOOL_MISSING', `The tools of this host do not do; needed: ${complaints.join(', ')}`, {
      hint: `Use the managed tools (--toolchain managed), or install newer versions of: ${[...packages].join(' ')}.`,
    })
  }
  versions.mkosi = mkosi.version
  const firmware = await firmwareRoot(cache, hostRoot, found)
  const packageDirectory = packageCache(cache)
  await mkdir(packageDirectory, { recursive: true })
  const mkosiArguments = [
    `--package-cache-directory=${packageDirectory}`,
    ...(sandboxTree === undefined ? [] : [`--sandbox-tree=${sandboxTree}`]),
  ]
  return {
    kind: 'host',
    identity: createHash('sha256')
      .update(JSON.stringify([Object.entries(versions).sort(), firmware.digest]))
      .digest('hex')
      .slice(0, 16),
    root: firmware.root,
    command: (argv, more = {}) => ({ ...more, argv, env: { PATH: searchPath(), ...more.env } }),
    inside: (argv) => ({ argv, env: { PATH: searchPath() } }),
    mkosi: (args, more = {}) => mkosi.command([...mkosiArguments, ...args], more),
    sandboxTree,
    versions,
  }
}

/** Where the firmware has Debian's names: the host itself, or a directory of links to it in the cache. */
async function firmwareRoot(cache: Cache, root: string, { files, isDebians }: FoundFirmware) {
  const hash = createHash('sha256')
  for (const [path, found] of files) hash.update(`${path} ${found}\0`).update(await readFile(found))
  const digest = hash.digest('hex').slice(0, 16)
  if (isDebians) return { root, digest }
  const entry = await cache.entry('firmware', digest, (directory) =>
    provideFirmware({ files }, directory, (argv) => ({ argv })),
  )
  return { root: entry, digest }
}

/** Asking a dozen programs for their versions takes longer than a build with nothing to do, so answers are kept. */
async function knownVersions(cache: Cache) {
  const before = ((await cache.recall('host-tools')) ?? {}) as Readonly<Record<string, string>>
  const after: Record<string, string> = {}
  return {
    async of({ argv }: HostTool): Promise<string | undefined> {
      const path = await programPath(argv[0] ?? '')
      if (path === undefined) return undefined
      const { size, mtimeMs } = await stat(path)
      const key = `${path} ${size} ${mtimeMs}`
      const version = before[key] ?? (await toolVersion([path, ...argv.slice(1)]))
      if (version !== undefined) after[key] = version
      return version
    },
    async remember(): Promise<void> {
      const isSame = JSON.stringify(Object.entries(before).sort()) === JSON.stringify(Object.entries(after).sort())
      if (!isSame) await cache.remember('host-tools', after)
    },
  }
}

/** The first version number in what a program says of itself, or undefined when it does not start. */
async function toolVersion(argv: readonly string[]): Promise<string | undefined> {
  try {
    const result = await runUnchecked({ argv })
    if (result.exitCode !== 0) return undefined
    const says = `${result.stdout}${result.stderr}`
    // One with dots first: names and word sizes have digits too (mke2fs, tpm2-tools, 64-bit).
    return (/\d+(?:\.\d+)+/.exec(says) ?? /\d+/.exec(says))?.[0]
  } catch {
    return undefined
  }
}
