import { createHash } from 'node:crypto'
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Cache } from './cache.ts'
import type { PackageSources } from './package-sources.ts'

/**
 * Where the sources file lies in a sandbox tree. The name is mkosi's own: its Debian default, which adds a debug
 * archive that many mirrors lack, gives way to a file of this name.
 */
const SOURCES_FILE = 'etc/apt/sources.list.d/mkosi.sources'
const KEYRINGS = 'etc/apt/keyrings'

const OWN_SETTINGS: readonly (readonly [name: string, value: string])[] = [
  ['Acquire::Languages', 'none'],
  // A mirror that cannot be reached is a failure: else apt goes on, and the first package that mkosi wants is to blame.
  ['APT::Update::Error-Mode', 'any'],
]

/**
 * The sandbox tree for these sources, for `SandboxTrees=` and `ToolsTreeSandboxTrees=` of mkosi: the sources file, the
 * keyrings it names and an apt.conf drop-in. It lies in the cache, because it names the user's mirror.
 */
export async function sandboxTree(cache: Cache, sources: PackageSources): Promise<string> {
  const files = sandboxFiles(sources, '/')
  const hash = createHash('sha256')
  for (const [path, content] of files) hash.update(path).update('\0').update(content).update('\0')
  return cache.entry('sources', hash.digest('hex').slice(0, 16), async (directory) => {
    await writeFiles(directory, files)
  })
}

/** What has the same sources for another release of Debian, to be given to mkosi beside the sandbox tree; undefined without one. */
export async function releaseSandboxTree(
  cache: Cache,
  sandboxTree: string | undefined,
  release: string,
): Promise<string | undefined> {
  if (sandboxTree === undefined) return undefined
  return cache.entry('sources', `${basename(sandboxTree)}-${release}`, async (directory) => {
    const sources = await readFile(join(sandboxTree, SOURCES_FILE), 'utf8')
    await writeFiles(directory, new Map([[SOURCES_FILE, sources.replace(/^Suites: .*$/m, `Suites: ${release}`)]]))
  })
}

/** The files of a sandbox tree, their paths relative to it; `root` is where apt will see the tree. */
export function sandboxFiles(sources: PackageSources, root: string): Map<string, string | Uint8Array> {
  const files = new Map<string, string | Uint8Array>()
  const signedBy: string[] = []
  for (const [index, keyring] of sources.keyrings.entries()) {
    const path = join(KEYRINGS, `${index}-${basename(keyring.path)}`)
    files.set(path, keyring.bytes)
    signedBy.push(join(root, path))
  }
  files.set(
    SOURCES_FILE,
    [
      'Types: deb',
      `URIs: ${sources.uri}`,
      `Suites: ${sources.release}`,
      `Components: ${sources.components.join(' ')}`,
      `Signed-By: ${signedBy.join(' ')}`,
      '',
    ].join('\n'),
  )
  files.set('etc/apt/apt.conf.d/50bootwright', aptSettings([...sources.settings, ...OWN_SETTINGS]))
  return files
}

/** Settings in the syntax of apt.conf(5). */
export function aptSettings(settings: readonly (readonly [name: string, value: string])[]): string {
  return settings.map(([name, value]) => `${name} "${value.replaceAll('"', '')}";\n`).join('')
}

export async function writeFiles(directory: string, files: ReadonlyMap<string, string | Uint8Array>): Promise<void> {
  for (const [path, content] of files) {
    const file = join(directory, path)
    await mkdir(join(file, '..'), { recursive: true, mode: 0o755 })
    await writeFile(file, content)
    // Addresses of mirrors and proxies may hold a password; keyrings are public.
    await chmod(file, typeof content === 'string' ? 0o600 : 0o644)
  }
}
