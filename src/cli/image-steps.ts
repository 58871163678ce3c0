import { readdir, rm } from 'node:fs/promises'
import { guestTrees } from '../guest/index.ts'
import { type BuiltImage, build, listImages } from '../image/index.ts'
import type { Firmware } from '../machine/index.ts'
import { unknownName } from '../system/index.ts'
import { Cache, type Toolchain } from '../toolchain/index.ts'
import { FIRMWARE, IMAGES, OUT } from './paths.ts'
import type { Progress } from './progress.ts'

/** Names are checked before anything is set up: a slip of the pen should not cost minutes. */
export async function checkNames(names: {
  readonly images: readonly string[]
  readonly cloud?: string | undefined
  readonly firmware?: string
}): Promise<void> {
  const images = await listImages(IMAGES)
  for (const image of names.images) if (!images.includes(image)) throw unknownName('image', image, images)
  // Not needed by everybody who builds.
  if (names.cloud !== undefined) (await import('../cloud/index.ts')).cloudNamed(names.cloud)
  if (names.firmware === undefined) return
  const { firmwareNames } = await import('../machine/index.ts')
  const firmwares = await firmwareNames(FIRMWARE)
  if (!firmwares.includes(names.firmware)) throw unknownName('firmware', names.firmware, firmwares)
}

interface BuildImageOptions {
  readonly force?: boolean
  readonly version?: string
  readonly snapshot?: string | undefined
  /** The image is signed with the user's own keys if it has to be, unless `sign` is false. */
  readonly firmware?: Firmware
  readonly sign?: boolean
}

/** Builds an image, telling what mkosi does; quick when nothing changed. */
export async function buildImage(
  name: string,
  toolchain: Toolchain,
  progress: Progress,
  signal: AbortSignal,
  options: BuildImageOptions = {},
): Promise<BuiltImage & { isFresh: boolean }> {
  const cache = new Cache()
  // Not needed by everybody who builds.
  const scene = () => import('../scene/index.ts')
  const built = await build(name, {
    toolchain,
    imagesDirectory: IMAGES,
    outDirectory: OUT,
    cache,
    signal,
    snapshot: options.snapshot,
    treeMakers: {
      ...guestTrees(cache, signal),
      'pcr-keys': async () => (await scene()).pcrKeys(toolchain, cache, signal)['pcr-keys'](),
    },
    onProgress: (step, line) => progress.update(`${name}: ${step}`, line),
    ...(options.force === undefined ? {} : { force: options.force }),
    ...(options.version === undefined ? {} : { version: options.version }),
  })
  const { firmware, sign } = options
  let signed = built
  if (firmware?.ownKeys !== undefined && sign !== false) {
    progress.update(`${name}: sign`, '')
    const { signedImage } = await scene()
    signed = await signedImage(built, firmware, { toolchain, cache, signal })
  }
  progress.finish()
  return signed
}

/** What failed before it began leaves no evidence, and then no directory for it either. */
export function removedIfNothingRan(directory: string): AsyncDisposable {
  return {
    async [Symbol.asyncDispose]() {
      const files: readonly string[] = await readdir(directory).catch(() => [])
      if (files.includes('console.log') || files.includes('report.json')) return
      await rm(directory, { recursive: true, force: true })
    },
  }
}

/** `none` is a way to ask for no cloud at all. */
export function cloudOption(value: string | undefined): string | undefined {
  return value === 'none' ? undefined : value
}
