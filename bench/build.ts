/**
 * What building through us costs over bare mkosi with the same arguments, and what a build costs when nothing changed.
 *
 * On the clock, two builds minutes apart differ by more than what is to be measured: more than half of a build is the
 * kernel's, and what it needs for the same pages is up to its host. So what is compared is the work, which can be counted, and each of
 * ours with the mkosi in it: what is left is all that comes before and after. Bare mkosi is there twice: as far as it differs
 * from itself, no difference means anything.
 *
 * Usage: node bench/build.ts [rounds]
 */
import { mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { build } from '../src/image/index.ts'
import { run } from '../src/system/index.ts'
import { Cache, cacheDirectory, removeTree, setUp } from '../src/toolchain/index.ts'
import { holdMemory } from './support/held-memory.ts'
import { median, report, rounds } from './support/rounds.ts'

const CHECKOUT = resolve(import.meta.dirname, '..')
const WORK = join(cacheDirectory(), 'bench-build')
const BARE_CACHE = join(WORK, 'cache')
const IMAGE = 'minimal'

const toolchain = await setUp()
const options = {
  toolchain,
  imagesDirectory: join(CHECKOUT, 'images'),
  outDirectory: join(WORK, 'out'),
  cache: new Cache(),
}

/** Seconds of the mkosi in each build, by the name of the candidate. */
const inner = new Map<string, number[]>()

/** Builds with a clock around mkosi. */
async function clocked(name: string): Promise<number> {
  const clock = join(WORK, 'clock')
  const script = 'begun=$(date +%s%N); "$@"; status=$?; echo $((($(date +%s%N) - begun) / 1000)) >"$0"; exit $status'
  const mkosi: typeof toolchain.mkosi = (args, more) => {
    const command = toolchain.mkosi(args, more)
    // Not the question for the summary.
    return args.includes('build') ? { ...command, argv: ['sh', '-c', script, clock, ...command.argv] } : command
  }
  const seconds = await timed(() => build(IMAGE, { ...options, toolchain: { ...toolchain, mkosi }, force: true }))
  const within = Number(await readFile(clock, 'utf8')) / 1e6
  inner.set(name, [...(inner.get(name) ?? []), within])
  process.stderr.write(`  ${(seconds - within).toFixed(2)} s of it around mkosi\n`)
  return seconds
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const begun = performance.now()
  await work()
  return (performance.now() - begun) / 1000
}

/** mkosi on its own: makes the image anew, from its cached trees where it has some. */
function bare(): Promise<unknown> {
  const directory = join(WORK, 'bare')
  return run(
    toolchain.mkosi([
      `--directory=${join(CHECKOUT, 'images', IMAGE)}`,
      `--output-directory=${directory}`,
      `--workspace-directory=${WORK}`,
      `--cache-directory=${BARE_CACHE}`,
      '--incremental=yes',
      '--force',
      'build',
    ]),
  )
}

await using _held = await holdMemory()
await mkdir(join(WORK, 'bare'), { recursive: true })
await mkdir(BARE_CACHE, { recursive: true })
const own = new Cache()
/** Both forget what incremental builds keep, lists of packages too; downloaded packages stay. */
const forgetBare = async () => {
  await removeTree(BARE_CACHE)
  await mkdir(BARE_CACHE)
}
const forget = async () => {
  for (const entry of await readdir(own.path('images'))) {
    if (entry.startsWith(`${IMAGE}-`)) await removeTree(own.path('images', entry))
  }
}
// The packages are there before the clock runs.
await build(IMAGE, { ...options, force: true })
const count = Number(process.argv[2] ?? 3)
const whole = await rounds(count, [
  { name: 'bare mkosi, build', prepare: forgetBare, run: () => timed(bare) },
  { name: 'bootwright, build', prepare: forget, run: () => clocked('bootwright, build') },
])
// The same calls of mkosi in half the time: these can be repeated until what they differ by shows.
const again = await rounds(count * 2, [
  { name: 'bare mkosi, rebuild', run: () => timed(bare) },
  { name: 'bootwright, rebuild', run: () => clocked('bootwright, rebuild') },
  {
    name: 'bootwright, no change',
    prepare: () => build(IMAGE, { ...options, outDirectory: join(CHECKOUT, 'out') }),
    run: () => timed(() => run({ argv: [join(CHECKOUT, 'bootwright'), 'build', IMAGE] })),
  },
  { name: 'bare mkosi, rebuild, once more', run: () => timed(bare) },
])
const rows = [...whole, ...again]
for (const [name, seconds] of inner) {
  // CPU seconds cannot be told apart: those of the whole stand for both.
  const { cpuSeconds = [], userSeconds = [], pages = [] } = rows.find((row) => row.name === name) ?? {}
  rows.push({ name: `mkosi in ${name}`, seconds, median: median(seconds), cpuSeconds, userSeconds, pages })
}
await report('build', rows, [
  { name: 'bootwright, build', peer: 'mkosi in bootwright, build', limit: 1.02 },
  { name: 'bootwright, rebuild', peer: 'mkosi in bootwright, rebuild', limit: 1.02 },
  { name: 'bootwright, build', peer: 'bare mkosi, build', limit: 1.02, of: 'work' },
  { name: 'bootwright, rebuild', peer: 'bare mkosi, rebuild', limit: 1.02, of: 'work' },
  { name: 'bare mkosi, rebuild, once more', peer: 'bare mkosi, rebuild', limit: 1.02, of: 'work' },
  { name: 'bootwright, no change', limit: 0.5 },
])
await rm(WORK, { recursive: true, force: true })
