import { existsSync, readFileSync, realpathSync } from 'node:fs'
import { basename, dirname, resolve } from 'node:path'
import { configurationFiles } from './sections.ts'

/**
 * What the configuration below a directory includes from elsewhere, and what that includes: absolute paths of files and
 * directories that are not known, sorted. mkosi's own includes, such as `mkosi-initrd`, are part of mkosi.
 */
export function includesOf(directory: string, isKnown: (path: string) => boolean): string[] {
  const found = new Set<string>()
  const left = [directory]
  for (let next = left.pop(); next !== undefined; next = left.pop()) {
    for (const path of configurationFiles(next).flatMap((file) => included(file))) {
      if (isKnown(path) || found.has(path)) continue
      found.add(path)
      left.push(path)
    }
  }
  return [...found].sort()
}

/** The paths that a file includes and that exist. */
function included(file: string): string[] {
  const values = [...readFileSync(file, 'utf8').matchAll(/^Include\s*=(.*(?:\n[ \t]+.*)*)/gm)]
  const words = values.flatMap(([, value = '']) => value.replace(/^\s*[#;].*$/gm, '').split(/[,\s]+/))
  // A file in mkosi.conf.d and its like is read as if it stood beside that directory.
  const place = /^mkosi\..*/.test(basename(dirname(file))) ? dirname(dirname(file)) : dirname(file)
  return words
    .filter((word) => word !== '')
    .map((word) => resolve(place, word))
    .filter((path) => existsSync(path))
    .map((path) => realpathSync(path))
}
