/**
 * An update of a partition image of 1 GiB over HTTP on loopback, compressed with zstd and with xz as `bootwright release` does:
 * the guest tools' systemd-sysupdate against systemd's own, with everything on the disk at the end. Then what `list` takes with
 * 10,000 instances, what manifests of 10,000 and of 100,000 entries take, and the most memory for an image of 4 GiB.
 *
 * What is compressed is kept in the cache (bench-sysupdate/): making it takes minutes.
 *
 * Usage: node bench/sysupdate.ts [rounds] [all|others]; `others` leaves the updates against the original out
 */
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createReadStream, existsSync, readFileSync } from 'node:fs'
import { link, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { guestToolsProgram } from '../src/guest/index.ts'
import { run } from '../src/system/index.ts'
import { Cache, cacheDirectory, setUp } from '../src/toolchain/index.ts'
import { type Candidate, keepResult, median, report, rounds } from './support/rounds.ts'

const ORIGINAL = '/usr/lib/systemd/systemd-sysupdate'
const GIB = 1024 ** 3
const [INSTANCES, FEW_ENTRIES, MANY_ENTRIES] = [10_000, 10_000, 100_000]
const USR = '8484680c-9521-48c6-9c11-b0720656f69e'
const [wanted = '7', which = 'all', inside] = process.argv.slice(2)

if (inside === undefined) await outside()
else await compare(inside)

/** Makes everything ready, then goes on in the tools tree: so the original needs no wrapper that would be timed with it. */
async function outside(): Promise<void> {
  const toolchain = await setUp()
  const kept = join(cacheDirectory(), 'bench-sysupdate')
  await mkdir(kept, { recursive: true })
  await makePayloads(kept, join(toolchain.root, 'usr'))
  const directory = await mkdtemp(join(cacheDirectory(), 'bench-sysupdate-run-'))
  try {
    await symlink(await guestToolsProgram(new Cache()), join(directory, 'systemd-sysupdate'))
    await mkdir(join(directory, 'served'))
    for (const name of ['zst_2.raw.zst', 'xz_2.raw.xz', 'large_2.raw.zst']) {
      await link(join(kept, name), join(directory, 'served', name))
    }
    const { argv } = toolchain.command([process.execPath, import.meta.filename, wanted, which, directory])
    const [file = '', ...args] = argv
    const [status] = (await once(spawn(file, args, { stdio: 'inherit' }), 'close')) as [number | null]
    process.exitCode = status ?? 1
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

/** What a partition of a system holds: programs and libraries, one behind the other, twice where they are not enough. */
async function makePayloads(directory: string, usr: string): Promise<void> {
  const make = async (name: string, script: string): Promise<void> => {
    const path = join(directory, name)
    if (existsSync(path)) return
    process.stderr.write(`making ${name}\n`)
    await run({ argv: ['sh', '-ec', `cd "$1"; (${script}) >"$2.new"; mv "$2.new" "$2"`, 'sh', directory, path, usr] })
  }
  const files = `find "$3" -type f | LC_ALL=C sort | tr '\\n' '\\0' | xargs -0 cat`
  await make('image.raw', `(${files}; ${files}) 2>/dev/null | head -c ${GIB}`)
  await make('zst_2.raw.zst', 'zstd --quiet -T0 -12 <image.raw')
  await make('xz_2.raw.xz', 'xz --threads=0 <image.raw')
  await make('large_2.raw.zst', 'cat image.raw image.raw image.raw image.raw | zstd --quiet -T0 -3')
}

async function compare(directory: string): Promise<void> {
  const ours = join(directory, 'systemd-sysupdate')
  const served = join(directory, 'served')
  const server = spawn(process.execPath, [join(import.meta.dirname, 'support/file-server.ts'), served], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  try {
    const [first] = (await once(server.stdout, 'data')) as [Buffer]
    const url = first.toString().trim()
    await sign(served)
    const disk = join(directory, 'disk.img')
    const definitions = await definePartitions(directory, url, disk)
    const before = loadavg()
    if (which === 'all') await compareUpdates(ours, definitions, disk)
    const others = await list(directory, ours, served, url)
    await emptyDisk(disk, 'large', 4 * GIB)
    const peakMiB = await peak(ours, [`--definitions=${definitions.large}`, 'update'])
    tell(peakMiB < 150, `memory for an image of 4 GiB: ${peakMiB.toFixed(0)} MiB (goal: under 150)`)
    await keepResult('sysupdate-more', { ...others, peakMiB, limitMiB: 150, load: { before, after: loadavg() } })
  } finally {
    server.kill()
  }
}

async function compareUpdates(
  ours: string,
  definitions: Readonly<Record<'zst' | 'xz', string>>,
  disk: string,
): Promise<void> {
  const content = await sha256(join(cacheDirectory(), 'bench-sysupdate/image.raw'))
  const update = (name: string, program: string, kind: 'zst' | 'xz'): Candidate => ({
    name,
    prepare: () => emptyDisk(disk, kind, GIB),
    run: async () => timed(program, [`--definitions=${definitions[kind]}`, 'update']),
  })
  const candidates = [
    update('systemd-sysupdate, zstd', ORIGINAL, 'zst'),
    update('guest tools, zstd', ours, 'zst'),
    update('systemd-sysupdate, xz', ORIGINAL, 'xz'),
    update('guest tools, xz', ours, 'xz'),
  ]
  // Each is right once; what comes then is the same again.
  for (const { name, prepare, run: once } of candidates) {
    await prepare?.()
    await once()
    if ((await sha256(disk, { start: 1024 ** 2, end: 1024 ** 2 + GIB - 1 })) !== content) {
      throw new Error(`${name} has written something else`)
    }
  }
  const rows = await rounds(Number(wanted), candidates)
  await report('sysupdate', rows, [
    { name: 'guest tools, zstd', peer: 'systemd-sysupdate, zstd', limit: 1 },
    { name: 'guest tools, xz', peer: 'systemd-sysupdate, xz', limit: 1 },
  ])
}

/** The times of `list` and of manifests, in turns; goals: 0.3 s beside the start of the program, and linear. */
async function list(directory: string, ours: string, served: string, url: string): Promise<object> {
  const [files, few, many] = ['files', 'few', 'many'].map((name) => join(directory, name)) as [string, string, string]
  const sides = [join(files, 'source'), join(files, 'target')] as const
  for (const [index, side] of sides.entries()) {
    await mkdir(side, { recursive: true })
    const first = (index * INSTANCES) / 4
    const versions = Array.from({ length: INSTANCES / 2 }, (_, n) => first + n + 1)
    await Promise.all(versions.map((version) => writeFile(join(side, `f_${version}.raw`), '')))
  }
  const installed = ['Type=regular-file', `Path=${sides[1]}`]
  const definitions = await define(directory, 'list', 'regular-file', sides[0], 'f_@v.raw', installed)
  for (const [name, count] of [
    ['few', FEW_ENTRIES],
    ['many', MANY_ENTRIES],
  ] as const) {
    await mkdir(join(served, name))
    const lines = Array.from({ length: count }, (_, n) => `${String(n).padStart(64, '0')} *m_${n + 1}.raw\n`)
    await writeFile(join(served, name, 'SHA256SUMS'), lines.join(''))
    const target = ['Type=regular-file', `Path=${directory}/nothing`]
    await define(directory, name, 'url-file', `${url}/${name}`, 'm_@v.raw', target)
  }
  const asked: Readonly<Record<string, readonly [string, readonly string[]]>> = {
    start: [ours, ['--version']],
    list: [ours, [`--definitions=${definitions}`, 'list']],
    listOfOriginal: [ORIGINAL, [`--definitions=${definitions}`, 'list']],
    fewEntries: [ours, [`--definitions=${few}`, 'check-new']],
    manyEntries: [ours, [`--definitions=${many}`, 'check-new']],
    // With the many, it is at it for minutes.
    fewEntriesOfOriginal: [ORIGINAL, [`--definitions=${few}`, 'check-new']],
  }
  const seconds = Object.fromEntries(Object.keys(asked).map((name) => [name, [] as number[]]))
  for (let round = 0; round < Number(wanted); round++) {
    for (const [name, [program, argv]] of Object.entries(asked)) seconds[name]?.push(timed(program, argv))
  }
  const middle = (name: string): number => median(seconds[name] ?? [])
  const [start, listed] = [middle('start'), middle('list')]
  tell(
    listed - start <= 0.3,
    `list with ${INSTANCES} instances: ${listed.toFixed(3)} s, of which the start ${start.toFixed(3)} s (goal: 0.3 s beside it; original: ${middle('listOfOriginal').toFixed(3)} s)`,
  )
  const growth = (middle('manyEntries') - start) / (middle('fewEntries') - start)
  tell(
    growth <= 12,
    `manifest with ${MANY_ENTRIES} entries: ${middle('manyEntries').toFixed(3)} s, ${growth.toFixed(1)} times what a tenth of them takes (goal: at most 12; a tenth: ${middle('fewEntries').toFixed(3)} s, original ${middle('fewEntriesOfOriginal').toFixed(3)} s)`,
  )
  return { seconds, listSeconds: listed - start, growth }
}

function tell(isMet: boolean, text: string): void {
  process.stdout.write(`  ${isMet ? 'met   ' : 'MISSED'} ${text}\n`)
}

async function definePartitions(directory: string, url: string, disk: string) {
  const made = ['zst', 'xz', 'large'].map(async (kind) => {
    const target = ['Type=partition', `Path=${disk}`, 'MatchPartitionType=usr']
    const pattern = `${kind}_@v.raw.${kind === 'xz' ? 'xz' : 'zst'}`
    return [
      kind,
      await define(directory, kind, 'url-file', url, pattern, [...target, `MatchPattern=${kind}_@v`]),
    ] as const
  })
  return Object.fromEntries(await Promise.all(made)) as Record<'zst' | 'xz' | 'large', string>
}

async function define(
  directory: string,
  name: string,
  type: string,
  path: string,
  pattern: string,
  target: readonly string[],
): Promise<string> {
  const source = ['[Transfer]', 'Verify=no', '[Source]', `Type=${type}`, `Path=${path}`, `MatchPattern=${pattern}`]
  await mkdir(join(directory, name), { recursive: true })
  await writeFile(join(directory, name, 'x.transfer'), `${[...source, '[Target]', ...target].join('\n')}\n`)
  return join(directory, name)
}

async function sign(served: string): Promise<void> {
  const lines = ['zst_2.raw.zst', 'xz_2.raw.xz', 'large_2.raw.zst'].map(
    async (name) => `${await sha256(join(served, name))} *${name}\n`,
  )
  await writeFile(join(served, 'SHA256SUMS'), (await Promise.all(lines)).join(''))
}

/** A disk with a free slot, which begins at 1 MiB, and the one of an earlier version: the original wants two. */
async function emptyDisk(path: string, kind: string, bytes: number): Promise<void> {
  await rm(path, { force: true })
  await run({ argv: ['truncate', `--size=${bytes + 4 * 1024 ** 2}`, path] })
  const slot = ['-n', `1:1M:+${bytes / 1024 ** 2}M`, '-t', `1:${USR}`, '-c', '1:_empty']
  const other = ['-n', '2:0:+1M', '-t', `2:${USR}`, '-c', `2:${kind}_1`]
  await run({ argv: ['sgdisk', ...slot, ...other, path] })
}

function timed(program: string, argv: readonly string[]): number {
  const begun = performance.now()
  const { status, stderr } = spawnSync(program, argv, { encoding: 'utf8', maxBuffer: 64 * 1024 ** 2 })
  const seconds = (performance.now() - begun) / 1000
  if (status !== 0) throw new Error(`${program} ${argv.join(' ')} ended with ${status}: ${stderr}`)
  return seconds
}

async function sha256(path: string, range: { start?: number; end?: number } = {}): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path, { ...range, highWaterMark: 1024 ** 2 })) hash.update(chunk)
  return hash.digest('hex')
}

/** The most that the process and those that it has started had at once (VmRSS, proc_pid_status(5)), looked at all the time. */
async function peak(program: string, argv: readonly string[]): Promise<number> {
  const child = spawn(program, argv, { stdio: ['ignore', 'ignore', 'inherit'] })
  const ended = once(child, 'exit')
  let [most, isRunning] = [0, true]
  void ended.then(() => {
    isRunning = false
  })
  while (isRunning) {
    most = Math.max(most, residentMiB(child.pid ?? 0))
    await new Promise((done) => setTimeout(done, 5))
  }
  const [status] = (await ended) as [number | null]
  if (status !== 0) throw new Error(`${program} ended with ${status}`)
  return most
}

function residentMiB(pid: number): number {
  try {
    const own = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean)
    return children.reduce((sum, child) => sum + residentMiB(Number(child)), own)
  } catch {
    // It has just ended.
    return 0
  }
}
