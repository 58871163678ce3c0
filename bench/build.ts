/**
 * What building through us costs over bare mkosi with the same arguments, and what a build costs when nothing changed.
 *
 * Usage: node bench/build.ts [rounds]
 */
import { mkdir, readdir, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { build } from '../src/image/index.ts'
import { run } from '../src/system/index.ts'
import { Cache, cacheDirectory, removeTree, setUp } from '../src/toolchain/index.ts'
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

/** mkosi on its own: `-f` makes the image anew from its cached trees, `-ff` those as well. */
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
const own = new Cache()
/** Forgets what incremental builds keep; downloaded packages stay for both. */
const forget = async () => {
  for (const entry of await readdir(own.path('images'))) {
    if (entry.startsWith(`${IMAGE}-`)) await removeTree(own.path('images', entry))
  }
}
// The packages are there before the clock runs.
await build(IMAGE, { ...options, force: true })
const rows = await rounds(Number(process.argv[2] ?? 3), [
  { name: 'bare mkosi, build', run: () => timed(() => bare('-ff')) },
  { name: 'bootwright, build', prepare: forget, run: () => timed(() => build(IMAGE, { ...options, force: true })) },
  { name: 'bare mkosi, rebuild', run: () => timed(() => bare('-f')) },
  { name: 'bootwright, rebuild', run: () => timed(() => build(IMAGE, { ...options, force: true })) },
  {
    name: 'bootwright, no change',
    prepare: () => build(IMAGE, { ...options, outDirectory: join(CHECKOUT, 'out') }),
    run: () => timed(() => run({ argv: [join(CHECKOUT, 'bootwright'), 'build', IMAGE] })),
  },
])
await report('build', rows, [
  { name: 'bootwright, build', peer: 'bare mkosi, build', limit: 1.02 },
  { name: 'bootwright, rebuild', peer: 'bare mkosi, rebuild', limit: 1.02 },
  { name: 'bootwright, no change', limit: 0.5 },
])
await rm(WORK, { recursive: true, force: true })
