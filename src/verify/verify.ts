import { mkdir } from 'node:fs/promises'
import { join, relative } from 'node:path'
import type { FaultRule } from '../cloud/index.ts'
import { type Firmware, type MachineImage, type MachineSpec, machine, type RunningMachine } from '../machine/index.ts'
import type { CheckReport, RunReport, SkippedCheck, StepReport } from '../report/index.ts'
import { junitXml, REPORT_SCHEMA, summarize } from '../report/index.ts'
import { askingProcess, calibrate, openScene } from '../scene/index.ts'
import { BootwrightError } from '../system/index.ts'
import type { Cache, Toolchain } from '../toolchain/index.ts'
import { answered, SILENT_MS } from './answered.ts'
import { bootCheck, failureOf } from './boot-check.ts'
import type { Check, CheckContext } from './check.ts'
import { CHECKS } from './checks/index.ts'
import { GuestFacts } from './guest-facts.ts'
import { predict } from './prediction.ts'
import type { RunDirectory } from './run-directory.ts'
import { verifiedMachine } from './verified-machine.ts'

/** An image as `verify` needs it. The prediction is made from the UKI, the machine starts from the disk. */
export interface CheckedImage extends MachineImage {
  readonly identity: string
  readonly ukiPath: string
  /** mkosi's list of its packages. */
  readonly manifestPath: string | undefined
}

export interface VerifyOptions {
  readonly image: CheckedImage
  readonly firmware: Firmware
  readonly cloud: string | undefined
  readonly toolchain: Toolchain
  /** Where what was found out about the firmware is kept. */
  readonly cache: Cache
  readonly accelerator: 'kvm' | 'tcg'
  readonly runDirectory: RunDirectory
  /** Where machines keep their state while they run. */
  readonly stateParent: string
  /** What repeats the run. */
  readonly command: string
  /** Steps that went before, for the report. */
  readonly steps?: readonly StepReport[]
  /** Keeps the machine's disk, variable store and TPM state. */
  readonly keep?: boolean
  readonly signal?: AbortSignal | undefined
  /** Called when a step begins, and with what moves in it. */
  readonly onProgress?: (step: string, line: string) => void
  /** Asked after all others. */
  readonly further?: readonly Check[]
  /** Changes to the machine, for tests that break it. */
  readonly spec?: Partial<MachineSpec>
  readonly faults?: readonly FaultRule[]
  readonly idleMs?: number
}

/**
 * The main job on a built image: predicts, boots, checks. Resolves with the report whatever the checks say, also when
 * the machine never came up; rejects when the host or a tool failed.
 */
export async function verify(options: VerifyOptions): Promise<RunReport> {
  const started = new Date()
  const clock = performance.now()
  const steps: StepReport[] = [...(options.steps ?? [])]
  const progress = (step: string, line = '') => options.onProgress?.(step, line)
  const step = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
    const begun = performance.now()
    progress(name)
    const result = await work()
    steps.push({ name, durationMs: Math.round(performance.now() - begun) })
    return result
  }

  const { spec, instance } = verifiedMachine(options)
  const asked = [...CHECKS, ...(options.further ?? [])]
  await mkdir(options.stateParent, { recursive: true })

  const checks: CheckReport[] = []
  const notRun: SkippedCheck[] = []
  let measured: RunReport['run']['measured'] = []
  await using scene = await openScene({
    toolchain: options.toolchain,
    directory: options.runDirectory.path,
    cloud: instance,
    macAddress: spec.macAddress,
    signal: options.signal,
    ...(options.faults === undefined ? {} : { faults: options.faults }),
  })
  const { network } = scene
  const cloud =
    instance === undefined || scene.cloud === undefined ? undefined : { ...instance, service: scene.cloud.service }
  const context = {
    toolchain: options.toolchain,
    network,
    stateParent: options.stateParent,
    name: options.runDirectory.id,
  }
  const calibration = await step('calibrate', () => calibrate(spec, context, options.cache, options.signal))
  const prediction = await step('predict', () =>
    predict({
      image: options.image,
      spec: { ...spec, image: options.image },
      toolchain: options.toolchain,
      calibration,
      userData: instance?.userData,
    }),
  )
  const stopped = machine(spec, context)
  {
    await using running = await step('power on', () => stopped.start({ signal: options.signal }))
    if (cloud !== undefined) cloud.service.whoAsks = askingProcess(running)
    measured = cloud === undefined ? running.measured : [...running.measured, USER_DATA]
    try {
      const boot = await step('boot', () => bootCheck(running, prediction.refusal, options, progress))
      checks.push(boot.report)
      if (boot.systemState === undefined) {
        notRun.push(...asked.map(({ id, title }) => ({ id, title, reason: 'the machine did not boot' })))
      } else {
        const checked: CheckContext = {
          machine: running,
          systemState: boot.systemState,
          guest: new GuestFacts(running, (name, bytes) => options.runDirectory.write(name, bytes)),
          prediction,
          cloud,
        }
        await step('check', async () => {
          for (const check of asked) {
            progress('check', check.title)
            checks.push(await ask(check, checked, options))
          }
        })
        await keepJournal(running, options)
      }
    } finally {
      await options.runDirectory.collect(running.directory)
      if (options.keep === true) await running.keep()
    }
  }
  if (cloud !== undefined) {
    await options.runDirectory.write('metadata-transcript.jsonl', cloud.service.transcript.toJsonLines())
  }
  const report: RunReport = {
    schema: REPORT_SCHEMA,
    run: {
      id: options.runDirectory.id,
      startedAt: started.toISOString(),
      durationMs: Math.round(performance.now() - clock + sum(options.steps ?? [])),
      image: { name: options.image.name, version: options.image.version, identity: options.image.identity },
      cloud: options.cloud ?? null,
      firmware: options.firmware.name,
      accelerator: options.accelerator,
      tools: options.toolchain.versions,
      command: options.command,
      directory: relative(process.cwd(), options.runDirectory.path),
      measured,
    },
    steps,
    checks,
    notRun,
    summary: summarize(checks, notRun),
  }
  await options.runDirectory.write('report.json', `${JSON.stringify(report, null, 2)}\n`)
  await options.runDirectory.write('junit.xml', junitXml(report))
  return report
}

/** systemd-imds --import extends PCR 12 with the user data, which holds a random credential. */
const USER_DATA = { what: 'user data of the cloud instance', pcrs: [12] } as const

/** How much longer a check may take that goes through further boots: each of them is watched for progress besides. */
const BOOTS_FACTOR = 10

/** Asks a check. A guest that cannot answer fails it; a host that cannot do its part ends the run. */
async function ask(check: Check, context: CheckContext, options: VerifyOptions): Promise<CheckReport> {
  const begun = performance.now()
  const idleMs = (options.idleMs ?? SILENT_MS) * (check.restarts === true ? BOOTS_FACTOR : 1)
  const facts = () => ({ id: check.id, title: check.title, durationMs: Math.round(performance.now() - begun) })
  try {
    const result = await answered(`"${check.title}"`, check.run(context), { ...options, idleMs })
    return { ...facts(), ...result }
  } catch (error) {
    if (!(error instanceof BootwrightError) || (error.family !== 'guest' && error.code !== 'MALFORMED_INPUT'))
      throw error
    return { ...facts(), ...failureOf(error) }
  }
}

/** A guest that has gone in the meantime keeps its journal to itself; the checks have told that already. */
async function keepJournal(running: RunningMachine, options: VerifyOptions): Promise<void> {
  try {
    const asked = running.runUnchecked(['journalctl', '--boot', '--no-pager', '--output=export'])
    const { exitCode, stdout } = await answered('for its journal', asked, options)
    if (exitCode === 0) await options.runDirectory.write('journal.export', stdout)
  } catch (error) {
    if (!(error instanceof BootwrightError) || error.family !== 'guest') throw error
  }
}

function sum(steps: readonly StepReport[]): number {
  return steps.reduce((total, { durationMs }) => total + durationMs, 0)
}

/** Directory of machine states below the user's cache directory. */
export function machineStates(cacheDirectory: string): string {
  return join(cacheDirectory, 'machines')
}
