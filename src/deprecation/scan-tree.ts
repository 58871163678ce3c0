import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type Finding, scanFile } from './scan.ts'

export interface TreeScan {
  readonly findings: readonly Finding[]
  readonly files: number
  /** Files of systemd itself, which knows all that it is about to forget. */
  readonly passedOver: number
}

/** Larger files are data. */
const MAX_BYTES = 64 * 1024 * 1024
/** What speaks of interfaces without using them. */
const DOCUMENTATION = /^(?:usr\/share\/(?:doc|man|info|locale|zsh|bash-completion)|var\/lib\/dpkg)\//
/** Debian's packages of systemd. */
const OWN_PACKAGE =
  /^(?:systemd(?:-.*)?|udev|libsystemd.*|libudev.*|libnss-(?:systemd|resolve|myhostname|mymachines)|libpam-systemd)(?::.*)?\.list$/

/** Scans all files below a directory: the root of an image, or any other folder. Symbolic links are not followed. */
export async function scanTree(root: string, onProgress?: (path: string) => void): Promise<TreeScan> {
  const own = await filesOfSystemd(root)
  const findings: Finding[] = []
  let files = 0
  let passedOver = 0
  const left = ['']
  for (let directory = left.pop(); directory !== undefined; directory = left.pop()) {
    for (const entry of await readdir(join(root, directory), { withFileTypes: true })) {
      const path = directory === '' ? entry.name : `${directory}/${entry.name}`
      if (entry.isDirectory()) left.push(path)
      if (!entry.isFile() || DOCUMENTATION.test(path)) continue
      if (own.has(merged(path))) {
        passedOver++
        continue
      }
      if ((await stat(join(root, path))).size > MAX_BYTES) continue
      files++
      onProgress?.(path)
      findings.push(...scanFile(path, await readFile(join(root, path))))
    }
  }
  findings.sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : (a.line ?? 0) - (b.line ?? 0)))
  return { findings, files, passedOver }
}

/** As dpkg knows them (dpkg-query(1), info/*.list); none where there is no dpkg. */
async function filesOfSystemd(root: string): Promise<Set<string>> {
  const directory = join(root, 'var/lib/dpkg/info')
  const lists = (await readdir(directory).catch(() => [])).filter((name) => OWN_PACKAGE.test(name))
  const contents = await Promise.all(lists.map((name) => readFile(join(directory, name), 'utf8')))
  return new Set(contents.flatMap((text) => text.split('\n')).map((path) => merged(path.replace(/^\//, ''))))
}

/** A package may still name a file by the link that its directory has become. */
function merged(path: string): string {
  return path.replace(/^(?=(?:bin|sbin|lib|lib64)\/)/, 'usr/')
}
