import { relative } from 'node:path'
import { Command } from 'commander'
import { checkReproducible, listImages } from '../image/index.ts'
import { Cache } from '../toolchain/index.ts'
import { buildImage, checkNames } from './image-steps.ts'
import { IMAGES, OUT } from './paths.ts'
import { Progress } from './progress.ts'
import { prepareToolchain, type ToolchainOptions, withToolchainOptions } from './toolchain-options.ts'

interface BuildOptions extends ToolchainOptions {
  readonly json: boolean
  readonly force: boolean
  readonly checkReproducible: boolean
  readonly imageVersion?: string
}

export function buildCommand(signal: AbortSignal): Command {
  return withToolchainOptions(new Command('build'))
    .summary('build images with mkosi; nothing runs when no input has changed')
    .argument('[image...]', 'names of images, all without')
    .option('--force', 'build even when nothing has changed', false)
    .option('--image-version <version>', 'version of the image')
    .option('--check-reproducible', 'build twice from scratch and compare', false)
    .option('--json', 'print machine-readable output', false)
    .action(async (names: string[], options: BuildOptions) => {
      await checkNames({ images: names })
      using progress = new Progress()
      const toolchain = await prepareToolchain(options, progress, signal)
      const chosen = names.length > 0 ? names : await listImages(IMAGES)
      const results: object[] = []
      for (const name of chosen) {
        if (options.checkReproducible) {
          const { artifacts } = await checkReproducible(name, {
            toolchain,
            imagesDirectory: IMAGES,
            outDirectory: OUT,
            cache: new Cache(),
            signal,
            snapshot: options.snapshot,
            onProgress: (step, line) => progress.update(`${name}: ${step}`, line),
          })
          progress.finish()
          results.push({ name, isReproducible: true, artifacts })
          if (!options.json) {
            process.stdout.write(`${name}: both builds are the same\n`)
            for (const { file, sha256 } of artifacts) process.stdout.write(`  ${sha256}  ${file}\n`)
          }
          continue
        }
        const built = await buildImage(name, toolchain, progress, signal, {
          force: options.force,
          snapshot: options.snapshot,
          ...(options.imageVersion === undefined ? {} : { version: options.imageVersion }),
        })
        results.push(built)
        if (options.json) continue
        const how = built.isFresh ? 'built' : 'unchanged'
        process.stdout.write(`${name} ${built.version}: ${how}, ${relative(process.cwd(), built.directory) || '.'}\n`)
      }
      if (options.json) process.stdout.write(`${JSON.stringify({ schema: 1, images: results })}\n`)
    })
}
