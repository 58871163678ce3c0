import { readdir, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { unknownName } from '../system/index.ts'

/** An image that can be built: a directory with mkosi configuration. */
export interface ImageDefinition {
  readonly name: string
  /** `images/<name>`, absolute. */
  readonly directory: string
  /** The directory that holds `mkosi.conf.d/`, which the definition includes; absolute. */
  readonly sharedDirectory: string
}

/** The names of all definitions, sorted: the directories that hold a `mkosi.conf`. */
export async function listImages(imagesDirectory: string): Promise<string[]> {
  const entries = await readdir(imagesDirectory).catch(() => [])
  const names: string[] = []
  for (const name of entries) {
    if (!name.startsWith('.') && (await isFile(join(imagesDirectory, name, 'mkosi.conf')))) names.push(name)
  }
  return names.sort()
}

/** The definition of that name; rejects with `UNKNOWN_NAME` listing those that exist. */
export async function findDefinition(name: string, imagesDirectory: string): Promise<ImageDefinition> {
  const names = await listImages(imagesDirectory)
  if (!names.includes(name)) throw unknownName('image', name, names)
  const directory = resolve(imagesDirectory, name)
  return { name, directory, sharedDirectory: dirname(dirname(directory)) }
}

async function isFile(path: string): Promise<boolean> {
  const facts = await stat(path).catch(() => undefined)
  return facts?.isFile() === true
}
