import { join, resolve } from 'node:path'
import { BootwrightError } from '../system/index.ts'
import { requireSpace } from '../toolchain/index.ts'
import { lockOutput, OUT_HINT, OUT_MIB } from './build.ts'
import type { Artifact, ArtifactRole, BuildRecord } from './built-image.ts'
import { firstDifference } from './first-difference.ts'
import { locate } from './locate.ts'
import { makeImage } from './make.ts'
import { hashOf, type ImageOptions, planBuild } from './plan.ts'
import { Staging } from './staging.ts'
import { Workshop } from './workshop.ts'

/** What two builds from scratch agreed in. */
export interface ReproducibleBuild {
  readonly name: string
  readonly version: string
  readonly identity: string
  readonly artifacts: readonly Artifact[]
}

/** Both builds, with everything that mkosi needs on the way. */
const NEEDED_MIB = 5_000

/** Causes before effects: a changed package explains the initrd, the initrd the UKI, and the UKI the disk. */
const ORDER: readonly ArtifactRole[] = ['manifest', 'os-release', 'kernel', 'other', 'initrd', 'uki', 'disk']

/**
 * Builds an image twice from scratch, in different directories and without any incremental cache, and compares all
 * files. Rejects with `NOT_REPRODUCIBLE` naming the first differing place; otherwise as `build()` does. Nothing is kept,
 * and what is in `out/` stays as it is. Takes twice the time of a cold build.
 */
export async function checkReproducible(name: string, options: ImageOptions): Promise<ReproducibleBuild> {
  options.signal?.throwIfAborted()
  await using _lock = await lockOutput(name, options)
  const plan = await planBuild(name, options)
  await requireSpace(`Image ${name}`, options.cache.directory, NEEDED_MIB)
  await requireSpace(`Image ${name}`, resolve(options.outDirectory), 2 * OUT_MIB, { hint: OUT_HINT })
  await using workshop = await Workshop.open(options.cache, `check-${name}`, hashOf(resolve(options.outDirectory)), {
    signal: options.signal,
  })
  const { workspaceDirectory } = workshop
  await using first = await Staging.open(plan.directory)
  const one = await makeImage(plan, { outputDirectory: first.directory, workspaceDirectory }, options)
  await using second = await Staging.open(plan.directory, first)
  const other = await makeImage(plan, { outputDirectory: second.directory, workspaceDirectory }, options)
  const differences = await compare(
    { directory: first.directory, record: one },
    { directory: second.directory, record: other },
    workspaceDirectory,
    options,
  )
  const [difference] = differences
  if (difference === undefined) {
    return { name, version: plan.version, identity: plan.identity, artifacts: one.artifacts }
  }
  const isPackage = difference.role === 'manifest'
  throw new BootwrightError('NOT_REPRODUCIBLE', `Two builds of image ${name} differ: ${describeAll(differences)}`, {
    hint: isPackage
      ? "Debian's archive changed between the two builds; pin it with --snapshot TIMESTAMP."
      : `Make the place named first independent of time, order and chance, in the definition ${plan.definition.directory}.`,
    detail: { file: difference.file, offset: difference.offset, place: difference.place ?? '' },
  })
}

interface Difference {
  readonly role: ArtifactRole
  readonly file: string
  readonly offset: number
  readonly place: string | undefined
}

interface Made {
  readonly directory: string
  readonly record: BuildRecord
}

async function compare(one: Made, other: Made, scratchDirectory: string, options: ImageOptions): Promise<Difference[]> {
  const differences: Difference[] = []
  for (const artifact of one.record.artifacts.toSorted((a, b) => ORDER.indexOf(a.role) - ORDER.indexOf(b.role))) {
    const { file, role } = artifact
    const counterpart = other.record.artifacts.find((candidate) => candidate.file === file)
    if (counterpart === undefined) {
      differences.push({ role, file, offset: 0, place: 'only the first build made it' })
      continue
    }
    if (counterpart.sha256 === artifact.sha256) continue
    const paths = { one: join(one.directory, file), other: join(other.directory, file) }
    const offset = (await firstDifference(paths.one, paths.other, options.signal)) ?? 0
    const { toolchain, signal } = options
    const place = await locate({ ...paths, role, file, offset, toolchain, signal, scratchDirectory })
    differences.push({ role, file, offset, place })
  }
  for (const { file, role } of other.record.artifacts) {
    if (one.record.artifacts.some((candidate) => candidate.file === file)) continue
    differences.push({ role, file, offset: 0, place: 'only the second build made it' })
  }
  return differences
}

function describeAll(differences: readonly Difference[]): string {
  return differences
    .map(({ file, offset, place }) => `${file} from byte ${offset}${place === undefined ? '' : ` (${place})`}`)
    .join('; ')
}
