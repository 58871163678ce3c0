/**
 * What building through us costs over bare mkosi with the same arguments, and what a build costs when nothing changed.
 *
 * Usage: node bench/build.ts [rounds]
 */
import { mkdir, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { build } from '../src/image/index.ts'
import { run } from '../src/system/index.ts'
import { Cache, cacheDirectory, setUp } from '../src/toolchain/index.ts'
import { report, rounds } from './support/rounds.ts'

const CHECKOUT = resolve(import.meta.dirname, '..')
const WORK = join(cacheDirectory(), 'bench-build')
const IMAGE = 'minimal'

const toolchain = await setUp()
const options = {
  toolchain,
  imagesDirectory: join(CHECKOUT, 'images'),
  outDirectory: join(WORK, 'out'),
  cache: new Cache(),
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const begun = performance.now()
  await work()
  return (performance.now() - begun) / 1000
}

/** mkosi on its own; `-f` makes everything anew, without it the cached trees of the first run are used. */
function bare(...args: readonly string[]): Promise<unknown> {
  const directory = join(WORK, 'bare')
  return run(
    toolchain.mkosi([
      `--directory=${join(CHECKOUT, 'images', IMAGE)}`,
      `--output-directory=${directory}`,
      `--workspace-directory=${WORK}`,
      `--cache-directory=${join(WORK, 'cache')}`,
      '--incremental=yes',
      ...args,
      'build',
    ]),
  )
}

await mkdir(join(WORK, 'bare'), { recursive: true })
await mkdir(join(WORK, 'cache'), { recursive: true })
const count = Number(process.argv[2] ?? 3)
// Caches of both are warm before the clock runs.
await bare('-f')
await build(IMAGE, { ...options, force: true })
const rows = await rounds(count, [
  { name: 'bare mkosi, rebuild', run: () => timed(() => bare('-f')) },
  { name: 'bootwright, rebuild', run: () => timed(() => build(IMAGE, { ...options, force: true })) },
  {
    name: 'bootwright, no change',
    run: () => timed(() => run({ argv: [join(CHECKOUT, 'bootwright'), 'build', IMAGE] })),
  },
])
await report('build', rows, [
  { name: 'bootwright, rebuild', peer: 'bare mkosi, rebuild', limit: 1.02 },
  { name: 'bootwright, no change', limit: 0.5 },
])
await rm(WORK, { recursive: true, force: true })
