import { resolve } from 'node:path'
import { lockFile, removeTree, requireSpace, type StatFs, tryLockFile } from '../toolchain/index.ts'
import { asImage, type BuiltImage, findFault, readRecord } from './built-image.ts'
import { makeImage } from './make.ts'
import { type BuildPlan, hashOf, type ImageOptions, planBuild } from './plan.ts'
import { Staging } from './staging.ts'
import { removeLeftWork, Workshop } from './workshop.ts'

export interface BuildOptions extends ImageOptions {
  /** Build even if nothing has changed. */
  readonly force?: boolean | undefined
  /** How free disk space is found out; for tests. */
  readonly statFs?: StatFs
}

/** Package cache, installed trees and their copies; a disk that is not sparse on the way. */
const CACHE_MIB = 3_000
export const OUT_MIB = 1_500
export const OUT_HINT = 'Free some space there (old runs are in out/runs), or work in a clone on a larger disk.'

/**
 * Builds an image into `out/<image>/<version>/`, or hands out the one there when nothing has changed since: then no
 * process runs. `isFresh` tells which.
 *
 * Rejects with `UNKNOWN_NAME` (listing the images), `BUILD_FAILED` (mkosi's complaint, and how to repeat it),
 * `IMAGE_INCOMPLETE` (no UKI, a truncated disk), `NO_SPACE`, or the reason of `signal`. Then mkosi has ended, the
 * previous image is still there, and nothing unfinished is left.
 */
export async function build(name: string, options: BuildOptions): Promise<BuiltImage & { readonly isFresh: boolean }> {
  options.signal?.throwIfAborted()
  if (options.force !== true) {
    const plan = await planBuild(name, options)
    const ready = await readyImage(plan)
    if (ready !== undefined) {
      await clearAway(name, plan, options).catch(() => undefined)
      return { ...ready, isFresh: false }
    }
  }
  await using _lock = await lockOutput(name, options)
  // What it is to be built from may have changed while somebody else was building, or have been built by them.
  const plan = await planBuild(name, options)
  if (options.force !== true) {
    const ready = await readyImage(plan)
    if (ready !== undefined) return { ...ready, isFresh: false }
  }
  await requireSpace(`Image ${name}`, options.cache.directory, CACHE_MIB, options)
  await requireSpace(`Image ${name}`, resolve(options.outDirectory), OUT_MIB, { ...options, hint: OUT_HINT })
  await using workshop = await Workshop.open(options.cache, name, plan.baseIdentity.slice(0, 16), waitOptions(options))
  await using staging = await Staging.open(plan.directory)
  const record = await makeImage(plan, { ...workshop, outputDirectory: staging.directory }, options)
  options.signal?.throwIfAborted()
  await staging.publish()
  return { ...asImage(plan.directory, record), isFresh: true }
}

/** Removes what a build left that was killed, also when there is nothing to build. Not worth a failure of its own. */
async function clearAway(name: string, plan: BuildPlan, options: ImageOptions): Promise<void> {
  await removeLeftWork(options.cache)
  if ((await Staging.leftovers(plan.directory)).length === 0) return
  await using lock = await tryLockFile(outputLock(name, options))
  // Whoever holds it may be making just that.
  if (lock === undefined) return
  for (const left of await Staging.leftovers(plan.directory)) await removeTree(left)
}

async function readyImage(plan: BuildPlan): Promise<BuiltImage | undefined> {
  const record = await readRecord(plan.directory)
  if (record?.identity !== plan.identity) return undefined
  const fault = await findFault(plan.directory, record)
  return fault === undefined ? asImage(plan.directory, record) : undefined
}

/** Keeps others from writing below `out/<image>/`. */
export function lockOutput(name: string, options: ImageOptions): Promise<AsyncDisposable> {
  return lockFile(outputLock(name, options), waitOptions(options))
}

function outputLock(name: string, options: ImageOptions): string {
  return options.cache.path('locks', `out-${name}-${hashOf(resolve(options.outDirectory))}`)
}

function waitOptions(options: ImageOptions) {
  return {
    signal: options.signal,
    onWait: () => options.onProgress?.('waiting', 'another process builds the same image'),
  }
}
