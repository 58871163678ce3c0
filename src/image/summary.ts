import { BootwrightError } from '../system/index.ts'

/** What `mkosi --json summary` says of an image definition, as far as we use it. */
export interface Summary {
  /** `Output=`: what the names of all output files begin with. */
  readonly output: string
  /** `Release=` of the distribution. */
  readonly release: string
  /** `Format=`: `disk`, `none`, `directory`, … */
  readonly format: string
  /** `ImageVersion=`. */
  readonly imageVersion: string | undefined
  /** Whether a UKI can come of it, by `Bootable=` and `UnifiedKernelImages=` or a script that makes one at the end. */
  readonly canHaveUki: boolean
  /** `SplitArtifacts=`. */
  readonly splitArtifacts: readonly string[]
  /** Every file and directory that the images read, absolute; those that only add files at the end are `late`. */
  readonly sources: readonly SummarySource[]
  /** `PassEnvironment=` of all images. */
  readonly passEnvironment: readonly string[]
}

export interface SummarySource {
  readonly path: string
  readonly reach: 'all' | 'late'
}

/** Settings that hold paths, or objects with a `Source` that is one. */
const SOURCES: Readonly<Record<string, SummarySource['reach']>> = {
  BaseTrees: 'all',
  ConfigureScripts: 'all',
  EnvironmentFiles: 'all',
  Files: 'all',
  PackageDirectories: 'all',
  PrepareScripts: 'all',
  SandboxTrees: 'all',
  SkeletonTrees: 'all',
  SyncScripts: 'all',
  VolatilePackageDirectories: 'all',
  BuildScripts: 'late',
  Devicetrees: 'late',
  ExtraTrees: 'late',
  FinalizeScripts: 'late',
  Initrds: 'late',
  Linux: 'late',
  PostInstallationScripts: 'late',
  PostOutputScripts: 'late',
  RepartDirectories: 'late',
  SecureBootCertificate: 'late',
  SecureBootKey: 'late',
  SignExpectedPcrCertificate: 'late',
  SignExpectedPcrKey: 'late',
  Splash: 'late',
  VerityCertificate: 'late',
  VerityKey: 'late',
}

type Fields = Readonly<Record<string, unknown>>

/** Reads the output of `mkosi --json summary`; rejects with `TOOL_FAILED` when it has another shape than mkosi 27's. */
export function parseSummary(text: string): Summary {
  const images = imagesOf(text)
  const main = images.find((image) => image.Image === 'main') ?? images.at(-1)
  if (main === undefined) throw unexpected('Images', 'at least one image', 'none')
  const sources = new Map<string, SummarySource>()
  const passEnvironment = new Set<string>()
  for (const image of images) {
    for (const [field, reach] of Object.entries(SOURCES)) {
      for (const path of pathsOf(image, field)) {
        if (sources.get(path)?.reach !== 'all') sources.set(path, { path, reach })
      }
    }
    for (const name of strings(image, 'PassEnvironment')) passEnvironment.add(name)
  }
  return {
    output: string(main, 'Output'),
    release: string(main, 'Release'),
    format: string(main, 'Format'),
    imageVersion: main.ImageVersion == null ? undefined : string(main, 'ImageVersion'),
    canHaveUki:
      (main.Bootable !== 'disabled' && main.UnifiedKernelImages !== 'none') ||
      pathsOf(main, 'PostOutputScripts').length > 0,
    splitArtifacts: strings(main, 'SplitArtifacts'),
    sources: [...sources.values()],
    passEnvironment: [...passEnvironment].sort(),
  }
}

function imagesOf(text: string): Fields[] {
  let summary: unknown
  try {
    summary = JSON.parse(text)
  } catch (cause) {
    throw new BootwrightError('TOOL_FAILED', 'Expected JSON from `mkosi --json summary`, found something else', {
      cause,
      hint: HINT,
    })
  }
  const images = isFields(summary) ? summary.Images : undefined
  if (!Array.isArray(images)) throw unexpected('Images', 'a list', images)
  for (const image of images) if (!isFields(image)) throw unexpected('Images[]', 'objects', image)
  return images as Fields[]
}

function pathsOf(image: Fields, field: string): string[] {
  const value = image[field]
  if (value === undefined || value === null) return []
  const items: unknown[] = Array.isArray(value) ? value : [value]
  return items.flatMap((item) => {
    const path = isFields(item) ? item.Source : item
    if (typeof path !== 'string') throw unexpected(field, 'paths', item)
    return path.startsWith('/') ? [path] : []
  })
}

function string(image: Fields, field: string): string {
  const value = image[field]
  if (typeof value !== 'string') throw unexpected(field, 'a string', value)
  return value
}

function strings(image: Fields, field: string): string[] {
  const value = image[field]
  if (!Array.isArray(value) || value.some((item) => typeof item !== 'string')) {
    throw unexpected(field, 'a list of strings', value)
  }
  return value as string[]
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

const HINT = 'Use mkosi 27: --toolchain managed brings it.'

function unexpected(field: string, expected: string, found: unknown): BootwrightError {
  const shown = found === undefined ? 'nothing' : JSON.stringify(found).slice(0, 80)
  return new BootwrightError('TOOL_FAILED', `Expected ${expected} as ${field} of mkosi's summary, found ${shown}`, {
    hint: HINT,
  })
}
