/**
 * `io.systemd.InstanceMetadata.Get` of a key that the cache has: our broker on its socket beside systemd's, which its unit
 * starts for each connection. Both see the same fake endpoint and have a cache of their own; one and the same client asks. Beside
 * them a service that says the same to everything: what it needs, on this host, no service can do without.
 *
 * Usage: node bench/broker.ts [rounds]
 */
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { guestToolsProgram } from '../src/guest/index.ts'
import { OriginalImds } from '../src/guest/original-imds.test-support.ts'
import { ok, scriptedEndpoint } from '../src/imds/index.ts'
import { descriptorOf, peerPid, run, runUnchecked } from '../src/system/index.ts'
import { Cache, cacheDirectory, setUp } from '../src/toolchain/index.ts'
import { RawVarlink } from './support/raw-varlink.ts'
import { keepResult, median } from './support/rounds.ts'

const ROUNDS = Number(process.argv[2] ?? 5)
const CALL = Buffer.from(
  `${JSON.stringify({
    method: 'io.systemd.InstanceMetadata.Get',
    parameters: { key: '/latest/meta-data/instance-id', interface: 1, firewallMark: null },
  })}\0`,
)
const DATA = Buffer.from('i-0123456789abcdef0').toString('base64')
const LOAD = join(import.meta.dirname, 'support/varlink-load.py')
const FLOOR = join(import.meta.dirname, 'support/varlink-floor.py')
const IN_A_ROW = 5_000
const AHEAD = 64
const AT_ONCE = 1_000
const GENERATOR_MS = 150

interface Figures {
  /** From the first connection to its reply, the start of the program included. */
  readonly firstCallMs: number[]
  readonly oneConnectionPerSecond: number[]
  /** One connection, with 64 calls on their way. */
  readonly aheadPerSecond: number[]
  readonly connectionEachPerSecond: number[]
  readonly medianMsOnOneConnection: number[]
  readonly medianMsWithConnectionEach: number[]
}

const cache = new Cache()
const toolchain = await setUp()
await mkdir(cacheDirectory(), { recursive: true })
const directory = await mkdtemp(join(cacheDirectory(), 'bench-broker-'))
try {
  await using original = await OriginalImds.unpack(toolchain)
  await using endpoint = await scriptedEndpoint([ok(Buffer.from(DATA, 'base64'))])
  const program = await guestToolsProgram(cache)
  // Once it was written, all of it is in memory, in pieces so large that each page of it that is used brings many others.
  // In an image it is read as it is needed.
  await run({ argv: ['sync', program] })
  await run({ argv: ['dd', `if=${program}`, 'iflag=nocache', 'count=0', 'status=none'] })
  const candidates = [
    { name: 'ours', activation: [program, 'systemd-imdsd'], eachCalls: 1_000 },
    { name: 'original', activation: ['--accept', '/usr/lib/systemd/systemd-imdsd'], eachCalls: 100 },
  ]
  const figures = new Map(candidates.map(({ name }) => [name, noFigures()]))
  const ours: { rssMiB: number; anonymousMiB: number; refusedOfThousand: number; endsWhenIdle: boolean }[] = []
  for (let round = 1; round <= ROUNDS; round++) {
    for (const { name, activation, eachCalls } of round % 2 === 1 ? candidates : candidates.toReversed()) {
      const path = join(directory, `${name}-${round}`)
      const ending = new AbortController()
      const runtime = join(directory, `run-${name}-${round}`)
      await mkdir(runtime)
      const env = { SYSTEMD_PROC_CMDLINE: '', SYSTEMD_IMDS_DATA_URL: endpoint.url, RUNTIME_DIRECTORY: runtime }
      const passed = Object.keys(env).flatMap((variable) => ['-E', variable])
      const argv = [
        '/usr/bin/systemd-socket-activate',
        `--listen=${path}`,
        '--fdname=varlink',
        ...passed,
        ...activation,
      ]
      const serving = runUnchecked(original.command(argv, { env }), { signal: ending.signal, withDescendants: true })
      const ended = serving.catch(() => undefined)
      try {
        while (!existsSync(path)) await sleep(10)
        await measure(path, eachCalls, figures.get(name) ?? noFigures())
        if (name === 'ours') ours.push(await ownFigures(path, round === ROUNDS))
      } finally {
        ending.abort()
        await ended
      }
      process.stderr.write(`round ${round} of ${ROUNDS}: ${name}\n`)
    }
  }
  await print(figures, ours, await generatorMs(program, directory), await floorFigures(directory))
} finally {
  await rm(directory, { recursive: true, force: true })
}

/** What is between the client and any service: the switches from one to the other, and the client itself. */
async function floorFigures(within: string): Promise<Figures> {
  const floor = noFigures()
  const path = join(within, 'floor')
  const ending = new AbortController()
  const reply = JSON.stringify({ parameters: { data: DATA, interface: 1 } })
  const ended = run({ argv: ['python3', FLOOR, path, reply] }, { signal: ending.signal }).catch(() => undefined)
  try {
    while (!existsSync(path)) await sleep(10)
    for (let round = 0; round < ROUNDS; round++) await measure(path, 1_000, floor)
  } finally {
    ending.abort()
    await ended
  }
  return floor
}

/** What the generator adds to the start of a machine that is in no cloud: it looks, and writes nothing. */
async function generatorMs(program: string, into: string): Promise<number[]> {
  const times: number[] = []
  for (let round = 0; round < 4 * ROUNDS; round++) {
    const begun = performance.now()
    await run({ argv: [program, 'systemd-imds-generator', into, into, into] })
    times.push(performance.now() - begun)
  }
  return times
}

function noFigures(): Figures {
  return {
    firstCallMs: [],
    oneConnectionPerSecond: [],
    aheadPerSecond: [],
    connectionEachPerSecond: [],
    medianMsOnOneConnection: [],
    medianMsWithConnectionEach: [],
  }
}

async function measure(path: string, eachCalls: number, into: Figures): Promise<void> {
  const argv = ['python3', LOAD, path, IN_A_ROW, AHEAD, eachCalls].map(String)
  const { stdout } = await run({ argv }, { input: CALL })
  const { reply, firstMs, rowMs, aheadPerSecond, eachMs } = JSON.parse(stdout) as Load
  if (!reply.includes(DATA)) throw new Error(`Not what the endpoint says: ${reply}`)
  into.firstCallMs.push(firstMs)
  into.oneConnectionPerSecond.push(perSecond(rowMs))
  into.medianMsOnOneConnection.push(median(rowMs))
  into.aheadPerSecond.push(aheadPerSecond)
  into.connectionEachPerSecond.push(perSecond(eachMs))
  into.medianMsWithConnectionEach.push(median(eachMs))
}

/** What the client says. */
interface Load {
  readonly reply: string
  readonly firstMs: number
  readonly rowMs: readonly number[]
  readonly aheadPerSecond: number
  readonly eachMs: readonly number[]
}

function perSecond(times: readonly number[]): number {
  return (1_000 * times.length) / times.reduce((sum, time) => sum + time, 0)
}

async function ownFigures(path: string, waitsForEnd: boolean) {
  const clients = await Promise.all(Array.from({ length: AT_ONCE }, () => RawVarlink.connect(path)))
  const replies = await Promise.allSettled(clients.map((client) => client.call(CALL)))
  const refused = replies.filter((one) => one.status === 'rejected' || !one.value.includes(DATA)).length
  const pid = peerPid(descriptorOf(clients[0]?.socket ?? (await RawVarlink.connect(path)).socket))
  for (const client of clients) client.close()
  await sleep(5_000)
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const kibibytes = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1])
  if (waitsForEnd) await sleep(30_000)
  return {
    rssMiB: kibibytes('VmRSS') / 1024,
    anonymousMiB: kibibytes('RssAnon') / 1024,
    refusedOfThousand: refused,
    endsWhenIdle: !existsSync(`/proc/${pid}`),
  }
}

async function print(
  figures: ReadonlyMap<string, Figures>,
  ours: readonly { rssMiB: number; anonymousMiB: number; refusedOfThousand: number; endsWhenIdle: boolean }[],
  generator: readonly number[],
  floor: Figures,
): Promise<void> {
  const of = (name: string, key: keyof Figures): number => median(figures.get(name)?.[key] ?? [])
  const goals: readonly (readonly [keyof Figures, 'least' | 'most', number])[] = [
    ['oneConnectionPerSecond', 'least', 10],
    ['aheadPerSecond', 'least', 10],
    ['connectionEachPerSecond', 'least', 10],
    ['medianMsOnOneConnection', 'most', 0.2],
    ['medianMsWithConnectionEach', 'most', 0.2],
    ['firstCallMs', 'most', 2],
  ]
  const ratios = goals.map(([key, kind, limit]) => {
    const [our, their] = [of('ours', key), of('original', key)]
    const value = our / their
    return {
      key,
      ours: our,
      original: their,
      value,
      kind,
      limit,
      isMet: kind === 'least' ? value >= limit : value <= limit,
    }
  })
  for (const { key, ours: our, original: their, value, kind, limit, isMet } of ratios) {
    process.stdout.write(
      `${isMet ? 'met   ' : 'MISSED'} ${key}: ${our.toFixed(2)} to ${their.toFixed(2)} = ${value.toFixed(2)} ` +
        `(goal: at ${kind} ${limit}; the least of a service: ${median(floor[key]).toFixed(2)})\n`,
    )
  }
  const last = ours.at(-1)
  process.stdout.write(
    `at rest ${last?.rssMiB.toFixed(0)} MiB, ${last?.anonymousMiB.toFixed(0)} MiB of them its own; ` +
      `of ${AT_ONCE} clients at once ${last?.refusedOfThousand} without a reply; ${last?.endsWhenIdle ? 'ends' : 'DOES NOT END'} when idle\n`,
  )
  const generatorMedian = median(generator)
  const verdict = generatorMedian <= GENERATOR_MS ? 'met   ' : 'MISSED'
  process.stdout.write(`${verdict} generator: ${generatorMedian.toFixed(0)} ms (goal: at most ${GENERATOR_MS})\n`)
  await keepResult('broker', {
    rounds: ROUNDS,
    figures: Object.fromEntries(figures),
    ours,
    generatorMs: generator,
    floor,
    ratios,
  })
}
