import { createHash, type Hash } from 'node:crypto'
import { open, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type Gpt, type PeFile, parseGpt, parsePe } from '../formats/index.ts'
import { BootwrightError, dataRanges, openDisk } from '../system/index.ts'
import type { Artifact, ArtifactRole } from './built-image.ts'

/** The files of an image, checked. */
export interface Outputs {
  readonly artifacts: readonly Artifact[]
  readonly kernelVersion: string | undefined
}

/** What mkosi appends to `Output=`. */
const ROLES: Readonly<Record<string, ArtifactRole>> = {
  '.raw': 'disk',
  '.efi': 'uki',
  '.vmlinuz': 'kernel',
  '.initrd': 'initrd',
  '.osrelease': 'os-release',
  '.manifest': 'manifest',
}

const CHUNK_BYTES = 4 * 1024 * 1024

/**
 * Looks at what mkosi left in its output directory: removes links and other by-products, checks disk and UKI, and hashes
 * every file. Rejects with `IMAGE_INCOMPLETE` when the image could not be booted.
 */
export async function collectOutputs(directory: string, output: string, signal?: AbortSignal): Promise<Outputs> {
  const files: { file: string; role: ArtifactRole }[] = []
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    if (!entry.isFile()) await rm(join(directory, entry.name), { recursive: true, force: true })
    else files.push({ file: entry.name, role: roleOf(entry.name, output) })
  }
  files.sort((a, b) => (a.file < b.file ? -1 : 1))
  const path = (role: ArtifactRole): string | undefined => {
    const found = files.find((candidate) => candidate.role === role)
    return found === undefined ? undefined : join(directory, found.file)
  }
  const disk = path('disk')
  if (disk === undefined) {
    throw incomplete(
      `mkosi made no disk ${output}.raw`,
      'Set Format=disk and CompressOutput=no in its [Output] section.',
    )
  }
  const uki = path('uki')
  if (uki === undefined) {
    throw incomplete(`mkosi made no unified kernel image ${output}.efi`, UKI_HINT)
  }
  checkDisk(disk)
  const kernelVersion = await checkUki(uki)
  const artifacts: Artifact[] = []
  for (const { file, role } of files) {
    artifacts.push({ role, file, ...(await hashFile(join(directory, file), signal)) })
  }
  return { artifacts, kernelVersion }
}

export const UKI_HINT =
  'Install a kernel in the image, and set Bootable=yes, UnifiedKernelImages= and SplitArtifacts=uki.'

/** Reads both copies of the disk's partition table; rejects with `IMAGE_INCOMPLETE` unless both are whole. */
export function checkDisk(path: string): Gpt {
  using file = openDisk(path)
  const { size } = file
  try {
    const gpt = parseGpt(file)
    const { alternateLba } = gpt.header
    const end = (Math.max(alternateLba, gpt.header.currentLba) + 1) * gpt.sectorSize
    if (size < end) throw truncated(`${path} has ${size} bytes, but its partition table says ${end}`)
    for (const copy of ['primary', 'backup'] as const) {
      const state = gpt[copy]
      if (state.state === 'valid') continue
      throw truncated(`The ${copy} partition table of ${path} is damaged: ${state.error.message}`, state.error)
    }
    return gpt
  } catch (error) {
    if (!(error instanceof BootwrightError) || error.code !== 'MALFORMED_INPUT') throw error
    throw truncated(`${path} has no partition table that can be read: ${error.message}`, error)
  }
}

/** The kernel version in a UKI; rejects with `IMAGE_INCOMPLETE` when the file is no UKI. */
export async function checkUki(path: string): Promise<string | undefined> {
  const bytes = await readFile(path)
  let pe: PeFile
  try {
    pe = parsePe(bytes)
  } catch (cause) {
    if (!(cause instanceof BootwrightError)) throw cause
    throw incomplete(`${path} is no unified kernel image: ${cause.message}`, UKI_HINT, cause)
  }
  if (!pe.sections.some(({ name }) => name === '.linux')) {
    throw incomplete(`${path} is no unified kernel image: it has no .linux section`, UKI_HINT)
  }
  const uname = pe.sections.find(({ name }) => name === '.uname')
  if (uname === undefined) return undefined
  const length = Math.min(uname.virtualSize, uname.rawSize)
  return bytes
    .toString('utf8', uname.rawOffset, uname.rawOffset + length)
    .replace(/\0.*$/s, '')
    .trim()
}

/**
 * Size and SHA-256 of a file. Of the holes of a sparse one nothing is read: most of a disk is holes, and the kernel would
 * make pages of zeros of them.
 */
export async function hashFile(path: string, signal?: AbortSignal): Promise<{ size: number; sha256: string }> {
  const hash = createHash('sha256')
  await using file = await open(path)
  const { size } = await file.stat()
  let hashed = 0
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES)
  for (const { start, end } of dataRanges(file.fd, size)) {
    hashZeros(hash, start - hashed)
    for (hashed = start; hashed < end; ) {
      const { bytesRead } = await file.read(buffer, 0, Math.min(CHUNK_BYTES, end - hashed), hashed)
      signal?.throwIfAborted()
      if (bytesRead === 0) throw incomplete(`${path} was cut short while it was read`, 'Build it again.')
      hash.update(buffer.subarray(0, bytesRead))
      hashed += bytesRead
    }
  }
  hashZeros(hash, size - hashed)
  return { size, sha256: hash.digest('hex') }
}

const ZEROS = Buffer.alloc(1024 * 1024)

function hashZeros(hash: Hash, length: number): void {
  for (let left = length; left > 0; left -= ZEROS.length) hash.update(ZEROS.subarray(0, Math.min(left, ZEROS.length)))
}

function roleOf(file: string, output: string): ArtifactRole {
  return file.startsWith(output) ? (ROLES[file.slice(output.length)] ?? 'other') : 'other'
}

function truncated(message: string, cause?: unknown): BootwrightError {
  return incomplete(message, 'It was cut short, perhaps by a full disk: free some space and build it again.', cause)
}

function incomplete(message: string, hint: string, cause?: unknown): BootwrightError {
  return new BootwrightError('IMAGE_INCOMPLETE', message, { hint, cause })
}
