import { closeSync, fstatSync, openSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import type { MeasuredSectionName, SectionDigests } from '../../measure/index.ts'
import { errnoText, ToolFailure } from '../tool-failure.ts'
import { type HashedFile, hashFile } from './hash-file.ts'
import { hashInThread } from './hash-thread.ts'

/** What a bank costs, SHA-1 being 1, on processors with instructions for SHA-1 and SHA-256 but none for SHA-512. */
const COSTS: Readonly<Record<string, number>> = { sha1: 1, sha256: 1, sha384: 2, sha512: 2 }
/** Those without instructions of their own. */
const USUAL_COST = 2
/** Below this much to hash, times its cost, a thread takes longer to start than it saves (10 ms). */
const WORTH_A_THREAD = 16 * 1024 * 1024

/**
 * Digests of sections that are files each, without empty ones, in the order given.
 *
 * The banks are dealt to as many threads as there are processors; each thread reads the files for itself, a chunk at a
 * time, so that nothing is ever held in memory.
 */
export async function hashSections(
  sections: readonly (readonly [name: MeasuredSectionName, path: string])[],
  banks: readonly string[],
): Promise<SectionDigests<string>[]> {
  const opened: OpenSection[] = []
  try {
    for (const [name, path] of sections) opened.push(openSection(name, path))
    const files = opened.filter(({ isFile }) => isFile)
    const cost = files.reduce((sum, { size }) => sum + size, 0) * costOf(banks)
    const threads = cost < WORTH_A_THREAD ? 1 : Math.min(availableParallelism(), banks.length)
    const [own = [], ...others] = deal(banks, threads)
    const elsewhere = Promise.allSettled(
      others.map((share) =>
        hashInThread({ files: files.map(({ descriptor, path }) => ({ descriptor, path })), banks: share }),
      ),
    )
    const here: HashedFile[] = []
    try {
      // While the threads work, so does this one. Whatever can be read only once is hashed here in all banks.
      for (const section of opened) here.push(hashHere(section, section.isFile ? own : banks))
    } finally {
      // The descriptors are theirs until then.
      await elsewhere
    }
    const shares = (await elsewhere).map((outcome) => {
      if (outcome.status === 'fulfilled') return outcome.value
      throw outcome.reason
    })
    return opened.flatMap((section, index) => {
      const mine = here[index]
      if (mine === undefined || mine.bytes === 0) return []
      const file = files.indexOf(section)
      const further = file < 0 ? [] : shares.flatMap((share) => [...(share[file]?.digests ?? [])])
      return [{ name: section.name, digests: new Map([...mine.digests, ...further]) }]
    })
  } finally {
    for (const { descriptor } of opened) closeSync(descriptor)
  }
}

interface OpenSection {
  readonly name: MeasuredSectionName
  readonly path: string
  readonly descriptor: number
  readonly isFile: boolean
  readonly size: number
}

function openSection(name: MeasuredSectionName, path: string): OpenSection {
  let descriptor: number
  try {
    descriptor = openSync(path, 'r')
  } catch (error) {
    throw new ToolFailure(`Failed to open '${path}': ${errnoText(error)}`)
  }
  const facts = fstatSync(descriptor)
  return { name, path, descriptor, isFile: facts.isFile(), size: facts.size }
}

function hashHere({ path, descriptor, isFile }: OpenSection, banks: readonly string[]): HashedFile {
  try {
    return hashFile(descriptor, banks, isFile)
  } catch (error) {
    throw new ToolFailure(`Failed to read '${path}': ${errnoText(error)}`)
  }
}

function costOf(banks: readonly string[]): number {
  return banks.reduce((sum, bank) => sum + (COSTS[bank] ?? USUAL_COST), 0)
}

/** The dearest bank first, each to whoever has least to do: the same time for all. */
function deal(banks: readonly string[], threads: number): string[][] {
  const shares = Array.from({ length: threads }, (): string[] => [])
  for (const bank of banks.toSorted((a, b) => costOf([b]) - costOf([a]))) {
    const least = shares.toSorted((a, b) => costOf(a) - costOf(b))[0]
    least?.push(bank)
  }
  return shares
}
