import { readdir, readFile, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { BootwrightError, unknownName } from '../system/index.ts'
import type { BuildInput } from './identity.ts'

/** What a file of an image is. `other` are outputs of images that the image is made from, and split partitions. */
export type ArtifactRole = 'disk' | 'uki' | 'kernel' | 'initrd' | 'os-release' | 'manifest' | 'other'

/** One file of an image. */
export interface Artifact {
  readonly role: ArtifactRole
  /** Its name in the image's directory. */
  readonly file: string
  /** In bytes, with the holes of a sparse file. */
  readonly size: number
  readonly sha256: string
}

/** An image that was built, with all its files in one directory. */
export interface BuiltImage {
  readonly name: string
  readonly version: string
  /** Hash of everything it was built from: 64 hexadecimal digits. */
  readonly identity: string
  /** `out/<name>/<version>` */
  readonly directory: string
  /** A raw disk with a GPT, a sparse file. Machines write to an overlay, never to it. */
  readonly diskPath: string
  /** The unified kernel image, the same bytes as on the disk's EFI system partition. */
  readonly ukiPath: string
  /** mkosi's list of the packages in the image. */
  readonly manifestPath: string | undefined
  /** The `.uname` section of the UKI. */
  readonly kernelVersion: string | undefined
  /** All files, by name. */
  readonly artifacts: readonly Artifact[]
}

/** `build.json`: what was built, from what, with what. Equal builds write equal bytes. */
export interface BuildRecord {
  readonly schema: 1
  readonly image: string
  readonly version: string
  readonly identity: string
  readonly baseIdentity: string
  readonly inputs: readonly BuildInput[]
  /** The time that Debian's archive was pinned to; null when it was not. */
  readonly snapshot: string | null
  readonly toolchain: { readonly identity: string; readonly versions: Readonly<Record<string, string>> }
  readonly kernelVersion: string | null
  /** What mkosi was asked for, from the directory that holds `images/`. */
  readonly command: readonly string[]
  readonly artifacts: readonly Artifact[]
}

export const RECORD_FILE = 'build.json'

export interface OpenImageOptions {
  readonly outDirectory: string
  /** Without it there must be just one version. */
  readonly version?: string | undefined
}

/**
 * An image that was built earlier. Rejects with `UNKNOWN_NAME` when there is none of that name and version, and with
 * `IMAGE_INCOMPLETE` when its files are not as `build.json` says.
 */
export async function openImage(name: string, options: OpenImageOptions): Promise<BuiltImage> {
  const versions = await builtVersions(options.outDirectory, name)
  if (versions.length === 0) {
    throw unknownName('built image', name, await builtImages(options.outDirectory))
  }
  const version = options.version ?? (versions.length === 1 ? versions[0] : undefined)
  if (version === undefined) {
    throw new BootwrightError('INVALID_ARGUMENT', `Image ${name} is built in the versions ${versions.join(', ')}`, {
      hint: 'Say which of them.',
    })
  }
  if (!versions.includes(version)) throw unknownName(`version of image ${name}`, version, versions)
  const directory = join(options.outDirectory, name, version)
  const record = await readRecord(directory)
  const fault = record === undefined ? `${RECORD_FILE} cannot be read` : await findFault(directory, record)
  if (record === undefined || fault !== undefined) {
    throw new BootwrightError('IMAGE_INCOMPLETE', `Image ${name} ${version} in ${directory} is damaged: ${fault}`, {
      hint: `Build it again: ./bootwright build ${name}`,
    })
  }
  return asImage(directory, record)
}

/** The identity of each image that is built, by name; of several versions that of the last one. */
export async function builtIdentities(outDirectory: string): Promise<Map<string, string>> {
  const identities = new Map<string, string>()
  for (const name of await builtImages(outDirectory)) {
    for (const version of await builtVersions(outDirectory, name)) {
      const record = await readRecord(join(outDirectory, name, version))
      if (record !== undefined) identities.set(name, record.identity)
    }
  }
  return identities
}

/** The record of a directory, or undefined when it has none that can be read. */
export async function readRecord(directory: string): Promise<BuildRecord | undefined> {
  try {
    const record: unknown = JSON.parse(await readFile(join(directory, RECORD_FILE), 'utf8'))
    return isRecord(record) ? record : undefined
  } catch {
    return undefined
  }
}

/** Whether a record holds what is used of it; a person or a disk may have changed it. */
function isRecord(value: unknown): value is BuildRecord {
  if (!isObject(value) || value.schema !== 1 || !Array.isArray(value.artifacts)) return false
  const hasNames = ['image', 'version', 'identity', 'baseIdentity'].every((field) => typeof value[field] === 'string')
  return hasNames && value.artifacts.every(isArtifact)
}

function isArtifact(value: unknown): value is Artifact {
  if (!isObject(value) || typeof value.role !== 'string' || typeof value.sha256 !== 'string') return false
  // A name and not a path: nothing outside the image's own directory is ever meant.
  return typeof value.file === 'string' && basename(value.file) === value.file && typeof value.size === 'number'
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}

/** In what way the files are not those of the record, or undefined. Looks at sizes only. */
export async function findFault(directory: string, record: BuildRecord): Promise<string | undefined> {
  for (const { file, size } of record.artifacts) {
    const facts = await stat(join(directory, file)).catch(() => undefined)
    if (facts === undefined) return `${file} is missing`
    if (facts.size !== size) return `${file} should have ${size} bytes, it has ${facts.size}`
  }
  return undefined
}

export function asImage(directory: string, record: BuildRecord): BuiltImage {
  const find = (role: ArtifactRole): string | undefined => {
    const artifact = record.artifacts.find((candidate) => candidate.role === role)
    return artifact === undefined ? undefined : join(directory, artifact.file)
  }
  const [diskPath, ukiPath] = [find('disk'), find('uki')]
  if (diskPath === undefined || ukiPath === undefined) {
    throw new BootwrightError('IMAGE_INCOMPLETE', `${join(directory, RECORD_FILE)} names no disk or no UKI`, {
      hint: `Build it again: ./bootwright build ${record.image}`,
    })
  }
  return {
    name: record.image,
    version: record.version,
    identity: record.identity,
    directory,
    diskPath,
    ukiPath,
    manifestPath: find('manifest'),
    kernelVersion: record.kernelVersion ?? undefined,
    artifacts: record.artifacts,
  }
}

async function builtImages(outDirectory: string): Promise<string[]> {
  const names: string[] = []
  for (const name of await subdirectories(outDirectory)) {
    if ((await builtVersions(outDirectory, name)).length > 0) names.push(name)
  }
  return names
}

async function builtVersions(outDirectory: string, name: string): Promise<string[]> {
  const versions: string[] = []
  for (const version of await subdirectories(join(outDirectory, name))) {
    const facts = await stat(join(outDirectory, name, version, RECORD_FILE)).catch(() => undefined)
    if (facts !== undefined) versions.push(version)
  }
  return versions.sort()
}

async function subdirectories(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { withFileTypes: true }).catch(() => [])
  return entries.filter((entry) => entry.isDirectory() && !entry.name.startsWith('.')).map((entry) => entry.name)
}
