import { readFile } from 'node:fs/promises'
import { zstdDecompressSync } from 'node:zlib'
import { type CpioEntry, cpioArchive, parsePe } from '../formats/index.ts'
import type { ArtifactRole } from './built-image.ts'
import { locateOnDisk, type PairOfDisks } from './locate-on-disk.ts'

/** The same file of two builds, and the offset at which they differ first. */
export interface DifferingFiles extends PairOfDisks {
  readonly role: ArtifactRole
  readonly file: string
}

/** Says in the words of its format where a file differs: section, partition, file within. Undefined where none fits. */
export async function locate(files: DifferingFiles): Promise<string | undefined> {
  if (files.role === 'uki') return locateInUki(files)
  if (files.role === 'disk') return locateOnDisk(files)
  if (files.role === 'manifest') return locateInManifest(files)
  if (/\.cpio(?:\.zst)?$/.test(files.file)) return locateInCpio(files)
  return undefined
}

async function locateInUki({ one, offset }: DifferingFiles): Promise<string> {
  const section = parsePe(await readFile(one)).sections.find(
    ({ rawOffset, rawSize }) => offset >= rawOffset && offset < rawOffset + rawSize,
  )
  return section === undefined ? 'PE headers' : `section ${section.name}, byte ${offset - section.rawOffset} of it`
}

/** A changed package explains every other difference. */
async function locateInManifest({ one, other }: DifferingFiles): Promise<string | undefined> {
  const [first, second] = [packagesOf(await readFile(one, 'utf8')), packagesOf(await readFile(other, 'utf8'))]
  for (const name of [...new Set([...first.keys(), ...second.keys()])].sort()) {
    const [a, b] = [first.get(name) ?? 'not there', second.get(name) ?? 'not there']
    if (a !== b) return `package ${name}: first ${a}, then ${b}`
  }
  return undefined
}

function packagesOf(manifest: string): Map<string, string> {
  const { packages = [] } = JSON.parse(manifest) as { packages?: { name?: string; version?: string }[] }
  return new Map(packages.map(({ name, version }) => [String(name), String(version)]))
}

async function locateInCpio({ one, other, file }: DifferingFiles): Promise<string | undefined> {
  const [first, second] = [await readCpio(one, file), await readCpio(other, file)]
  for (const [path, entry] of first) {
    const counterpart = second.get(path)
    if (counterpart === undefined) return `${path} is only in the first`
    if (!entry.content.equals(counterpart.content)) return `content of ${path}`
    if (entry.header !== counterpart.header) return `mode, owner, time or number of ${path}`
  }
  for (const path of second.keys()) if (!first.has(path)) return `${path} is only in the second`
  return 'the compressed form only'
}

async function readCpio(path: string, file: string): Promise<Map<string, CpioEntry>> {
  const bytes = await readFile(path)
  return cpioArchive(file.endsWith('.zst') ? zstdDecompressSync(bytes) : bytes).entries
}
