import { mkdir } from 'node:fs/promises'
import { relative } from 'node:path'
import {
  DEFAULT_SPEC,
  forkMachine,
  type MachineContext,
  type MachineSpec,
  type RunningMachine,
} from '../machine/index.ts'
import { type CheckReport, REPORT_SCHEMA, type RunReport, type SkippedCheck, summarize } from '../report/index.ts'
import { openScene } from '../scene/index.ts'
import { BootwrightError, unknownName } from '../system/index.ts'
import type { Cache, Toolchain } from '../toolchain/index.ts'
import { runUpstreamTest, upstreamTests } from './run-upstream-test.ts'
import type { StandIns } from './stand-ins.ts'

export interface ConformanceOptions {
  readonly image: MachineSpec['image'] & { readonly identity: string }
  readonly firmware: MachineSpec['firmware']
  readonly accelerator: MachineSpec['accelerator']
  readonly toolchain: Toolchain
  readonly cache: Cache
  /** As systemd names them, without `.sh`. */
  readonly tests: readonly string[]
  /** What takes the place of the originals; without it the distribution's own programs run. */
  readonly standIns?: StandIns | undefined
  readonly runDirectory: {
    readonly id: string
    readonly path: string
    write(name: string, content: string | Uint8Array): Promise<unknown>
  }
  readonly stateParent: string
  /** What repeats the run. */
  readonly command: string
  readonly timeoutMs?: number
  readonly signal?: AbortSignal | undefined
  /** Called when a step begins, and with what moves in it. */
  readonly onProgress?: (step: string, line: string) => void
}

/** Under emulation some of them take that long, and some of them longer. */
const TEST_MS = 15 * 60_000
const LONG_TESTS_MS: Readonly<Record<string, number>> = { 'TEST-72-SYSUPDATE': 3 * 3_600_000 }

/**
 * Runs tests of systemd itself, each in a machine of its own that has just booted: they may break what they like.
 *
 * Rejects with `UNKNOWN_NAME` for a test that the image does not have, before any runs, and with `IMAGE_INCOMPLETE` for an
 * image without tests.
 */
export async function conformance(options: ConformanceOptions): Promise<RunReport> {
  const started = new Date()
  const clock = performance.now()
  const { signal, standIns, tests } = options
  const spec: MachineSpec = {
    ...DEFAULT_SPEC,
    image: options.image,
    firmware: options.firmware,
    accelerator: options.accelerator,
    // What the tests of systemd-measure want.
    tpm: { banks: ['sha1', 'sha256'] },
    memoryMiB: 2048,
    uuid: 'b0070000-1111-4222-8333-4444444c0f04',
    smbios: {},
    ...(standIns === undefined ? {} : { disks: [standIns.disk] }),
  }
  const checks: CheckReport[] = []
  try {
    for (const [index, test] of tests.entries()) {
      options.onProgress?.(test, 'booting')
      await using machine = await freshMachine(spec, options)
      if (index === 0) await checkTests(machine.running, tests)
      options.onProgress?.(test, 'running')
      checks.push(await checkOf(test, machine.running, options))
      signal?.throwIfAborted()
    }
  } catch (error) {
    // What was found out before is worth its time.
    if (checks.length > 0) await writeReport(options, checks, started, clock)
    throw error
  }
  return writeReport(options, checks, started, clock)
}

async function writeReport(
  { tests, runDirectory, toolchain, ...options }: ConformanceOptions,
  checks: readonly CheckReport[],
  started: Date,
  clock: number,
): Promise<RunReport> {
  const notRun = tests.slice(checks.length).map((test): SkippedCheck => {
    return { id: test, title: titleOf(test), reason: 'the run was ended before it' }
  })
  const report: RunReport = {
    schema: REPORT_SCHEMA,
    run: {
      id: runDirectory.id,
      startedAt: started.toISOString(),
      durationMs: Math.round(performance.now() - clock),
      image: { name: options.image.name, version: options.image.version, identity: options.image.identity },
      cloud: null,
      firmware: options.firmware.name,
      accelerator: options.accelerator,
      tools: toolchain.versions,
      command: options.command,
      directory: relative(process.cwd(), runDirectory.path),
      measured: [],
    },
    steps: [],
    checks,
    notRun,
    summary: summarize(checks, notRun),
  }
  await runDirectory.write('report.json', `${JSON.stringify(report, null, 2)}\n`)
  return report
}

async function freshMachine(
  spec: MachineSpec,
  { toolchain, cache, runDirectory, stateParent, signal }: ConformanceOptions,
): Promise<AsyncDisposable & { readonly running: RunningMachine }> {
  await mkdir(stateParent, { recursive: true })
  await using scope = new AsyncDisposableStack()
  const { macAddress } = spec
  const directory = runDirectory.path
  const scene = scope.use(await openScene({ toolchain, directory, cloud: undefined, macAddress, signal }))
  const context: MachineContext = { toolchain, network: scene.network, stateParent, name: runDirectory.id }
  const running = scope.use(await forkMachine(spec, context, { cache, signal }))
  const owned = scope.move()
  return { running, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

async function checkTests(machine: RunningMachine, wanted: readonly string[]): Promise<void> {
  const there = await upstreamTests(machine)
  if (there.length === 0) {
    throw new BootwrightError('IMAGE_INCOMPLETE', "The image has no tests of systemd's own", {
      hint: 'Install the package systemd-tests of the distribution, or use --image upstream.',
    })
  }
  for (const test of wanted) if (!there.includes(test)) throw unknownName('test', test, there)
}

async function checkOf(test: string, machine: RunningMachine, options: ConformanceOptions): Promise<CheckReport> {
  const { standIns, runDirectory, signal, timeoutMs = LONG_TESTS_MS[test] ?? TEST_MS } = options
  const begun = performance.now()
  const title = titleOf(test)
  const facts = () => ({ id: test, title, durationMs: Math.round(performance.now() - begun) })
  try {
    const replaced = (await standIns?.replace(machine)) ?? []
    const { status, evidence, log } = await runUpstreamTest(machine, test, {
      timeoutMs,
      signal,
      ...(standIns === undefined ? {} : { environment: standIns.environment }),
    })
    await runDirectory.write(`${test}.log`, log)
    if (status === 'failed') await runDirectory.write(`${test}.journal`, await journalOf(machine))
    const inPlace = standIns === undefined ? [] : [`ours in the place of ${replaced.join(', ') || 'nothing'}`]
    return { ...facts(), status, evidence: [...inPlace, ...evidence] }
  } catch (error) {
    if (!(error instanceof BootwrightError) || error.family !== 'guest') throw error
    return { ...facts(), status: 'failed', evidence: [error.message], code: error.code }
  }
}

function titleOf(test: string): string {
  return `systemd's own ${test}`
}

async function journalOf(machine: RunningMachine): Promise<string> {
  const { stdout } = await machine.runUnchecked(['journalctl', '--boot', '--no-pager', '--output=short-monotonic'])
  return stdout.toString()
}
