import { printed, readFailedUnits, readStatus } from '../../scene/index.ts'
import { BootwrightError } from '../../system/index.ts'
import { eventually } from '../within.ts'
import { type Subject, subjectOf, type Verdict, verdict } from './subject.ts'

/** Units fail a moment after what makes them fail. */
const PATIENCE_MS = 5_000

export interface Patience {
  /** How long the right answer is waited for. */
  readonly withinMs?: number
}

/** Waits until the system has booted, and wants it to be content. */
export async function toBeRunning(received: unknown, options: { idleMs?: number } = {}): Promise<Verdict> {
  const { machine } = subjectOf(received)
  let state: string
  try {
    state = await machine.booted(options)
  } catch (error) {
    if (!(error instanceof BootwrightError) || error.family !== 'guest') throw error
    return verdict(false, [`Expected machine to be running, but it did not boot: ${error.message}`], [])
  }
  const units = state === 'running' ? [] : await describeUnits(machine, await readFailedUnits(machine))
  return verdict(
    state === 'running',
    [`Expected the system to be running, found it ${state}`, ...units],
    ['Expected the system not to be running, but it is, and no unit has failed'],
  )
}

/** Waits until just these units have failed. */
export async function toHaveFailedUnits(
  received: unknown,
  expected: readonly string[],
  { withinMs = PATIENCE_MS }: Patience = {},
): Promise<Verdict> {
  const { machine } = subjectOf(received)
  const wanted = [...expected].sort()
  const isRight = (found: readonly string[]) => found.join('\n') === wanted.join('\n')
  const found = await eventually(withinMs, () => readFailedUnits(machine), isRight)
  const names = (units: readonly string[]) => (units.length === 0 ? 'none' : units.join(', '))
  const extra = found.filter((unit) => !wanted.includes(unit))
  return verdict(
    isRight(found),
    [
      'Expected other units to have failed',
      `  expected  ${names(wanted)}`,
      `  found     ${names(found)}`,
      ...(await describeUnits(machine, extra)),
    ],
    [`Expected other units to have failed than ${names(wanted)}`],
  )
}

/** Waits until os-release of the running system has this `IMAGE_VERSION=`. */
export async function toBeUpdatedTo(
  received: unknown,
  version: string,
  { withinMs = PATIENCE_MS }: Patience = {},
): Promise<Verdict> {
  const { machine } = subjectOf(received)
  // After a reboot nobody answers at first.
  if (machine.spec.channel) await machine.booted()
  const found = await eventually(
    withinMs,
    () => imageVersion(machine),
    (now) => now === version,
  )
  return verdict(
    found === version,
    [
      'Expected the system to be updated',
      `  expected  IMAGE_VERSION=${version}`,
      `  found     ${found === undefined ? 'an os-release without IMAGE_VERSION=' : `IMAGE_VERSION=${found}`}`,
    ],
    [`Expected the system not to be of version ${version}, but it is`],
  )
}

async function imageVersion(machine: Subject): Promise<string | undefined> {
  const text = await printed(machine, ['cat', '/etc/os-release'])
  // os-release(5): values may be quoted as a shell does it.
  return /^IMAGE_VERSION=(["']?)(.*)\1$/m.exec(text?.toString() ?? '')?.[2]
}

async function describeUnits(machine: Subject, units: readonly string[]): Promise<string[]> {
  const lines: string[] = []
  for (const unit of units.slice(0, 5)) {
    const status = await readStatus(machine, unit)
    lines.push(...status.split('\n').map((line) => `    ${line}`.trimEnd()))
  }
  return lines
}
