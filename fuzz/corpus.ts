import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { deflateRawSync, inflateRawSync } from 'node:zlib'

const DIRECTORY = join(import.meta.dirname, 'corpus')
/** Of each target, as text, so that all of them stay small enough to be read by nobody and kept by everybody. */
const MAX_CORPUS_BYTES = 6_000

/** Inputs that once ran what nothing before them had run, and those that once broke something. */
export function readCorpus(name: string): Uint8Array[] {
  const path = join(DIRECTORY, `${name}.json`)
  if (!existsSync(path)) return []
  return (JSON.parse(readFileSync(path, 'utf8')) as string[]).map((line) => inflateRawSync(Buffer.from(line, 'base64')))
}

/** Adds the shortest of the new ones, as far as they fit. */
export function extendCorpus(name: string, found: readonly Uint8Array[]): void {
  const corpus = readCorpus(name)
  let bytes = corpus.reduce((sum, input) => sum + packed(input).length, 0)
  for (const input of found.toSorted((a, b) => a.byteLength - b.byteLength)) {
    bytes += packed(input).length
    if (bytes > MAX_CORPUS_BYTES) break
    corpus.push(input)
  }
  mkdirSync(DIRECTORY, { recursive: true })
  writeFileSync(join(DIRECTORY, `${name}.json`), `${JSON.stringify(corpus.map(packed), null, 1)}\n`)
}

function packed(input: Uint8Array): string {
  return deflateRawSync(input).toString('base64')
}
