import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

/** The sections that mkosi 27 reads, in any of its configuration files. */
const SECTIONS: ReadonlySet<string> = new Set([
  ...['Match', 'TriggerMatch', 'Assert', 'TriggerAssert'],
  ...['Include', 'Config', 'Distribution', 'Output', 'Content', 'Validation', 'Build', 'Runtime', 'Host', 'UKIProfile'],
])

/**
 * The first section below a directory of mkosi configuration that mkosi does not know, with its place: mkosi passes over
 * it in silence, and the image then lacks what was asked for there.
 */
export function findUnknownSection(directory: string): string | undefined {
  for (const file of configurationFiles(directory)) {
    const lines = readFileSync(file, 'utf8').split('\n')
    for (const [index, line] of lines.entries()) {
      const name = /^\s*\[([^\]]*)\]/.exec(line)?.[1]
      // What begins with X- is for other programs, as in units of systemd.
      if (name !== undefined && !SECTIONS.has(name) && !name.startsWith('X-'))
        return `[${name}] in ${file}:${index + 1}`
    }
  }
  return undefined
}

/** The files that mkosi(1) reads as configuration below a directory, or the file itself: not what only ends up in the image. */
export function configurationFiles(path: string): string[] {
  return isKind(path, 'file') ? [path] : [...filesBelow(path)]
}

function* filesBelow(directory: string): Generator<string> {
  for (const name of ['mkosi.conf', 'mkosi.local.conf']) {
    if (isKind(join(directory, name), 'file')) yield join(directory, name)
  }
  for (const collection of ['mkosi.conf.d', 'mkosi.images', 'mkosi.profiles', 'mkosi.uki-profiles']) {
    if (!isKind(join(directory, collection), 'directory')) continue
    for (const entry of readdirSync(join(directory, collection)).sort()) {
      const path = join(directory, collection, entry)
      if (isKind(path, 'directory')) yield* filesBelow(path)
      else if (entry.endsWith('.conf')) yield path
    }
  }
}

function isKind(path: string, kind: 'file' | 'directory'): boolean {
  const facts = statSync(path, { throwIfNoEntry: false })
  return kind === 'file' ? facts?.isFile() === true : facts?.isDirectory() === true
}
