/**
 * From nothing to the first command's answer: a fork of a booted machine against a cold boot; a command's round trip; and
 * what a row of forks leaves in this process and on the disk.
 *
 * Usage: node bench/fork.ts [rounds [forks in a row]]
 */
import { mkdir, readdir, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { build } from '../src/image/index.ts'
import {
  DEFAULT_SPEC,
  firmwareNamed,
  forkMachine,
  machine,
  PrivateNetwork,
  type RunningMachine,
} from '../src/machine/index.ts'
import { Cache, cacheDirectory, setUp } from '../src/toolchain/index.ts'
import { machineStates } from '../src/verify/index.ts'
import { keepResult, report, rounds } from './support/rounds.ts'
import { VirtconsoleShell } from './support/virtconsole.ts'

const CHECKOUT = resolve(import.meta.dirname, '..')
const WORK = join(cacheDirectory(), 'bench-fork')
const TRIPS = 100

const cache = new Cache()
const toolchain = await setUp()
const spec = {
  ...DEFAULT_SPEC,
  image: await build('minimal', {
    toolchain,
    imagesDirectory: join(CHECKOUT, 'images'),
    outDirectory: join(CHECKOUT, 'out'),
    cache,
  }),
  firmware: await firmwareNamed(join(CHECKOUT, 'ovmf'), 'plain', toolchain, cache),
  accelerator: 'tcg',
  uuid: '11111111-2222-4333-8444-555555555555',
} as const

/** Seconds from nothing, network included, to the answer of a command; then whatever else is to be done with the machine. */
async function timed(isFork: boolean, then: (running: RunningMachine) => Promise<void> = async () => {}) {
  const begun = performance.now()
  await mkdir(WORK, { recursive: true })
  await using network = await PrivateNetwork.open(toolchain, { directory: WORK, addresses: [], names: {}, hosts: [] })
  const stateParent = machineStates(cacheDirectory())
  const context = { toolchain, network, stateParent, name: `bench-${process.pid}-${Math.round(begun)}` }
  await using running = isFork ? await forkMachine(spec, context, { cache }) : await machine(spec, context).start()
  if (!isFork) await running.booted()
  await running.run(['cat', '/sys/class/tpm/tpm0/pcr-sha256/11'])
  const seconds = (performance.now() - begun) / 1000
  await then(running)
  return seconds
}

/** Seconds a command, out of a row of them in one machine. */
async function roundTrip(
  prepare: (running: RunningMachine, scope: AsyncDisposableStack) => Promise<() => Promise<unknown>>,
): Promise<number> {
  let seconds = 0
  await timed(true, async (running) => {
    await using scope = new AsyncDisposableStack()
    const trip = await prepare(running, scope)
    const begun = performance.now()
    for (let count = 0; count < TRIPS; count++) await trip()
    seconds = (performance.now() - begun) / 1000 / TRIPS
  })
  return seconds
}

async function virtconsoleTrip(running: RunningMachine, scope: AsyncDisposableStack): Promise<() => Promise<unknown>> {
  const shell = scope.use(await VirtconsoleShell.open(running))
  // The same work: a shell would do `true` by itself.
  return () => shell.run('/usr/bin/true')
}

/** What could grow: memory and descriptors of this process, machines' directories. */
async function footprint() {
  globalThis.gc?.()
  return {
    residentMiB: Math.round(process.memoryUsage().rss / 1024 / 1024),
    descriptors: (await readdir('/proc/self/fd')).length,
    machines: (await readdir(machineStates(cacheDirectory()))).length,
  }
}

// The snapshot is there before the clock runs.
await timed(true)
const rows = await rounds(Number(process.argv[2] ?? 5), [
  { name: 'cold boot to first command', run: () => timed(false) },
  { name: 'fork to first command', run: () => timed(true) },
  { name: 'a command in the guest', run: () => roundTrip(async (running) => () => running.run(['/usr/bin/true'])) },
  { name: 'the same by virtconsole', run: () => roundTrip(virtconsoleTrip) },
])
await report('fork', rows, [
  { name: 'fork to first command', limit: 0.8 },
  { name: 'a command in the guest', limit: 0.01 },
  { name: 'a command in the guest', peer: 'the same by virtconsole', limit: 1 },
])

const count = Number(process.argv[3] ?? 100)
// The first ones load what the others find loaded.
for (let fork = 0; fork < 5; fork++) await timed(true)
const before = await footprint()
const seconds: number[] = []
const flakes: string[] = []
for (let fork = 0; fork < count; fork++) {
  try {
    seconds.push(await timed(true))
  } catch (error) {
    flakes.push(String(error))
  }
}
const after = await footprint()
const sorted = seconds.toSorted((a, b) => a - b)
process.stdout.write(
  [
    `${count} forks in a row, ${flakes.length} of them failed`,
    `  before   ${JSON.stringify(before)}`,
    `  after    ${JSON.stringify(after)}`,
    `  seconds  median ${sorted[sorted.length >> 1]?.toFixed(2)}, slowest ${sorted.at(-1)?.toFixed(2)}`,
    ...flakes.map((flake) => `  ${flake}`),
    '',
  ].join('\n'),
)
await keepResult(`forks-in-a-row-${count}`, { count, flakes, before, after, seconds })
await rm(WORK, { recursive: true, force: true })
