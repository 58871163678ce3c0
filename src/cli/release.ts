import { relative, resolve } from 'node:path'
import { Command, Option } from 'commander'
import type { BuiltImage } from '../image/index.ts'
import { type Compression, makeSigningKey, ownSigningKey, publish, signingKeyIn } from '../release/index.ts'
import { BootwrightError } from '../system/index.ts'
import { Cache } from '../toolchain/index.ts'
import { buildImage, checkNames } from './image-steps.ts'
import { OUT } from './paths.ts'
import { Progress } from './progress.ts'
import { prepareToolchain, type ToolchainOptions, withToolchainOptions } from './toolchain-options.ts'

interface ReleaseOptions extends ToolchainOptions {
  readonly to: string
  readonly imageVersion?: string
  readonly compress: Compression
  /** False where none is wanted any more. */
  readonly bestBefore?: string | false
  readonly key?: string
  readonly makeKey?: string
  readonly sign: boolean
  readonly json: boolean
}

export function releaseCommand(signal: AbortSignal): Command {
  return withToolchainOptions(new Command('release'))
    .summary('add versions of images to an update repository for systemd-sysupdate')
    .argument('[image...]', 'names of images, built first if need be')
    .option('--image-version <version>', 'version of the images')
    .option('--to <directory>', 'the repository', resolve(OUT, 'releases'))
    .addOption(
      new Option('--compress <how>', 'of partitions').choices(['zstd', 'xz', 'none'] as const).default('zstd' as const),
    )
    .option('--best-before <date>', 'YYYY-MM-DD: from then on nobody takes the manifest; without, the last date stays')
    .option('--no-best-before', 'take the date back')
    .option('--key <directory>', 'a key of your own, instead of the one in the cache')
    .option('--make-key <directory>', 'make such a key, and nothing else')
    .option('--no-sign', 'no signature: only for machines with Verify=no')
    .option('--json', 'print machine-readable output', false)
    .action(async (names: string[], options: ReleaseOptions) => {
      const now = new Date()
      if (options.makeKey !== undefined) {
        const { fingerprint, publicKeyPath } = await makeSigningKey(options.makeKey, now)
        const made = { schema: 1, fingerprint, publicKey: publicKeyPath }
        process.stdout.write(options.json ? `${JSON.stringify(made)}\n` : `${fingerprint}\n${publicKeyPath}\n`)
        return
      }
      if (names.length === 0) {
        throw new BootwrightError('INVALID_ARGUMENT', 'No image was named', { hint: 'bootwright release IMAGE…' })
      }
      await checkNames({ images: names })
      const cache = new Cache()
      const own = options.key === undefined ? () => ownSigningKey(cache, now) : () => signingKeyIn(options.key ?? '')
      const key = options.sign ? await own() : undefined
      using progress = new Progress()
      const toolchain = await prepareToolchain(options, progress, signal)
      const images: BuiltImage[] = []
      for (const name of names) {
        const version = options.imageVersion === undefined ? {} : { version: options.imageVersion }
        images.push(await buildImage(name, toolchain, progress, signal, { snapshot: options.snapshot, ...version }))
      }
      const { directory, files, bestBefore } = await publish(images, {
        toolchain,
        directory: resolve(options.to),
        compression: options.compress,
        bestBefore: options.bestBefore === false ? null : options.bestBefore,
        key,
        now,
        signal,
        onProgress: (file) => progress.update('release', file),
      })
      progress.finish()
      const { fingerprint = null, publicKeyPath = null } = key ?? {}
      if (options.json) {
        const facts = { schema: 1, directory, files, bestBefore: bestBefore ?? null, fingerprint }
        process.stdout.write(`${JSON.stringify({ ...facts, publicKey: publicKeyPath })}\n`)
        return
      }
      for (const { name, isNew } of files) process.stdout.write(`${isNew ? 'published' : 'unchanged'} ${name}\n`)
      process.stdout.write(`in ${relative(process.cwd(), directory) || '.'}\n`)
      if (bestBefore !== undefined) process.stdout.write(`best before ${bestBefore}\n`)
      if (key !== undefined) process.stdout.write(`signed by ${fingerprint}, ${publicKeyPath}\n`)
    })
}
