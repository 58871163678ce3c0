import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { BootwrightError } from '../system/index.ts'
import { type BuildRecord, RECORD_FILE } from './built-image.ts'
import { readConfiguration } from './identity.ts'
import { buildWithMkosi, type MkosiBuild } from './mkosi.ts'
import { collectOutputs } from './outputs.ts'
import type { BuildPlan, ImageOptions } from './plan.ts'

/** The directories that one run of mkosi works in. */
export type MakeDirectories = Pick<MkosiBuild, 'outputDirectory' | 'workspaceDirectory' | 'incremental'>

/** Makes the image in an empty directory: all its files, checked, and their `build.json`. */
export async function makeImage(
  plan: BuildPlan,
  directories: MakeDirectories,
  options: ImageOptions,
): Promise<BuildRecord> {
  const { toolchain, signal, onProgress } = options
  const { outputDirectory, workspaceDirectory, incremental } = directories
  onProgress?.('build', 'starting mkosi')
  for (const directory of [
    outputDirectory,
    workspaceDirectory,
    ...(incremental === undefined ? [] : [incremental.cacheDirectory, incremental.buildDirectory]),
  ]) {
    await mkdir(directory, { recursive: true })
  }
  await buildWithMkosi(
    toolchain,
    {
      ...directories,
      definitionDirectory: plan.definition.directory,
      sandboxTree: plan.sandboxTree,
      extraTrees: plan.madeTrees.filter((tree) => tree.isConfiguration !== true).map(({ path }) => path),
      includes: plan.madeTrees.filter((tree) => tree.isConfiguration === true).map(({ path }) => path),
      version: plan.version,
      output: plan.output,
    },
    { signal, onLine: onProgress === undefined ? undefined : (line) => onProgress('build', line) },
  )
  // mkosi may have read one file before and another after the change.
  if (!isSame(readConfiguration(plan.definition), plan.configuration)) {
    throw new BootwrightError(
      'BUILD_FAILED',
      `The definition of image ${plan.definition.name} changed during its build`,
      {
        hint: 'Build it again.',
      },
    )
  }
  onProgress?.('outputs', 'checking disk and UKI')
  const { artifacts, kernelVersion } = await collectOutputs(outputDirectory, plan.output, signal)
  const record: BuildRecord = {
    schema: 1,
    image: plan.definition.name,
    version: plan.version,
    identity: plan.identity,
    baseIdentity: plan.baseIdentity,
    inputs: plan.inputs,
    snapshot: options.snapshot ?? null,
    toolchain: { identity: toolchain.identity, versions: toolchain.versions },
    kernelVersion: kernelVersion ?? null,
    command: [
      'mkosi',
      `--directory=images/${plan.definition.name}`,
      `--image-version=${plan.version}`,
      `--output=${plan.output}`,
      'build',
    ],
    artifacts,
  }
  await writeFile(join(outputDirectory, RECORD_FILE), `${JSON.stringify(record, undefined, 2)}\n`)
  return record
}

function isSame(one: BuildPlan['configuration'], other: BuildPlan['configuration']): boolean {
  return JSON.stringify(one.trees) === JSON.stringify(other.trees)
}
