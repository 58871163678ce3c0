import { createHash } from 'node:crypto'
import { join, resolve } from 'node:path'
import { BootwrightError } from '../system/index.ts'
import { type Cache, releaseSandboxTree, TOOLS_RELEASE, type Toolchain } from '../toolchain/index.ts'
import { findDefinition, type ImageDefinition } from './definition.ts'
import { type BuildIdentity, buildIdentity, type Configuration, readConfiguration } from './identity.ts'
import { type MadeTree, makeTrees, type TreeMakers } from './made-trees.ts'
import { readSummary } from './mkosi.ts'
import { UKI_HINT } from './outputs.ts'
import { findUnknownSection } from './sections.ts'
import type { Summary } from './summary.ts'

/** What a build is doing, in this order; `waiting` only when another process builds the same image. */
export type BuildStep = 'waiting' | 'configuration' | 'build' | 'outputs'

export interface ImageOptions {
  readonly toolchain: Toolchain
  /** The directory with one subdirectory an image. Its parent holds the configuration that the images share. */
  readonly imagesDirectory: string
  /** Where built images go: `<outDirectory>/<image>/<version>/`. */
  readonly outDirectory: string
  readonly cache: Cache
  /** `IMAGE_VERSION=` of the image; without it `ImageVersion=` of the definition, else `1`. */
  readonly version?: string | undefined
  /** The time that set-up pinned Debian's archive to, `YYYYMMDDTHHMMSSZ`. */
  readonly snapshot?: string | undefined
  /** Who makes the files that some definitions ask us for. */
  readonly treeMakers?: TreeMakers | undefined
  readonly signal?: AbortSignal | undefined
  /** Called when there is work to do, with each line that mkosi prints; never when nothing has changed. */
  readonly onProgress?: ((step: BuildStep, line: string) => void) | undefined
}

/** All that is known of a build before it runs. */
export interface BuildPlan extends BuildIdentity {
  readonly definition: ImageDefinition
  readonly configuration: Configuration
  readonly version: string
  /** What the names of the output files begin with. */
  readonly output: string
  /** Where the result goes. */
  readonly directory: string
  /** Package sources of the image's release, where that is another than the tools are from. */
  readonly sandboxTree: string | undefined
  /** Files for the image that this program has made. */
  readonly madeTrees: readonly MadeTree[]
}

/** Raised when `Summary` changes: older ones may still be remembered. */
const SUMMARY_SHAPE = 3

/** Finds out what is to be built. Asks mkosi only when the configuration has changed since the last time. */
export async function planBuild(name: string, options: ImageOptions): Promise<BuildPlan> {
  checkVersion(options.version)
  const definition = await findDefinition(name, options.imagesDirectory)
  const configuration = readConfiguration(definition)
  const summary = await currentSummary(definition, configuration, options)
  checkBootable(definition, summary)
  const madeTrees = await makeTrees(definition.directory, options.treeMakers)
  const version = options.version ?? summary.imageVersion ?? '1'
  checkVersion(version)
  return {
    definition,
    configuration,
    version,
    output: `${name}_${version}`,
    directory: resolve(options.outDirectory, name, version),
    sandboxTree: await sourcesOf(summary, options),
    madeTrees,
    ...buildIdentity(definition, configuration, summary, options.toolchain, {
      version,
      snapshot: options.snapshot,
      madeTrees,
    }),
  }
}

async function sourcesOf({ release }: Summary, { toolchain, cache }: ImageOptions): Promise<string | undefined> {
  return release === TOOLS_RELEASE ? undefined : releaseSandboxTree(cache, toolchain.sandboxTree, release)
}

/** mkosi needs half a second for its summary, which is more than everything else that finds nothing to do. */
async function currentSummary(
  definition: ImageDefinition,
  configuration: Configuration,
  options: ImageOptions,
): Promise<Summary> {
  const { toolchain, cache, version } = options
  const key = hashOf([SUMMARY_SHAPE, configuration.earlyDigest, toolchain.identity, toolchain.sandboxTree, version])
  const fact = `image-${definition.name}-${hashOf(definition.directory)}`
  const known = (await cache.recall(fact)) as { key?: string; summary?: Summary } | undefined
  if (known?.key === key && known.summary !== undefined) return known.summary
  options.onProgress?.('configuration', 'reading the image definition')
  checkSections(definition)
  const summary = await readSummary(
    toolchain,
    { definitionDirectory: definition.directory, version },
    { signal: options.signal },
  )
  await cache.remember(fact, { key, summary })
  return summary
}

/** mkosi passes over them in silence. */
function checkSections(definition: ImageDefinition): void {
  for (const directory of [definition.directory, definition.sharedDirectory]) {
    const unknown = findUnknownSection(directory)
    if (unknown === undefined) continue
    throw new BootwrightError(
      'BUILD_FAILED',
      `The definition of image ${definition.name} is broken: mkosi knows no section ${unknown}`,
      { hint: 'Correct its name, or begin it with X- if it is for another program.' },
    )
  }
}

/** Tells before minutes of work what would be missing after them. */
function checkBootable(definition: ImageDefinition, summary: Summary): void {
  const configuration = join(definition.directory, 'mkosi.conf')
  if (summary.format !== 'disk') {
    throw new BootwrightError(
      'IMAGE_INCOMPLETE',
      `Image ${definition.name} should be a disk, but its definition says Format=${summary.format}`,
      { hint: `Set Format=disk in ${configuration}, or in what it includes.` },
    )
  }
  if (!summary.canHaveUki) {
    throw new BootwrightError(
      'IMAGE_INCOMPLETE',
      `Image ${definition.name} makes no unified kernel image: Bootable=no or UnifiedKernelImages=none`,
      { hint: `${UKI_HINT} The definition is ${configuration}.` },
    )
  }
  if (summary.splitArtifacts.includes('uki')) return
  throw new BootwrightError(
    'IMAGE_INCOMPLETE',
    `Image ${definition.name} has no unified kernel image of its own: SplitArtifacts= lacks uki`,
    { hint: `${UKI_HINT} The definition is ${configuration}.` },
  )
}

/** It becomes a file name, and a field of os-release(5), which allows these characters. */
function checkVersion(version: string | undefined): void {
  if (version === undefined || /^[a-z0-9][a-z0-9._~^+-]*$/i.test(version)) return
  throw new BootwrightError('INVALID_ARGUMENT', `"${version}" is no image version`, {
    hint: 'Use letters, digits and . _ ~ ^ + - and begin with a letter or digit.',
  })
}

/** A short name for something long. */
export function hashOf(facts: unknown): string {
  return createHash('sha256').update(JSON.stringify(facts)).digest('hex').slice(0, 16)
}
