import type { ConsoleLog, RunningMachine, StoppedMachine } from '../../machine/index.ts'
import type { Answering } from '../../scene/index.ts'
import { BootwrightError } from '../../system/index.ts'
import { type MachineRecord, recordOf } from '../machine-record.ts'

/** As much of a machine as matchers look at: what `boot` gives, or a machine made by hand. */
export interface Subject extends Answering {
  readonly name: string
  readonly console: Pick<ConsoleLog, 'lastLines' | 'byteCount' | 'partialLine'>
  readonly failure: BootwrightError | undefined
  readonly spec: Pick<RunningMachine['spec'], 'channel' | 'tpm'>
  booted(options?: { idleMs?: number }): Promise<string>
}

/** What was given to `expect`, if it is a machine that is on. */
export function subjectOf(received: unknown): { machine: Subject; record: MachineRecord | undefined } {
  const record = recordOf(received)
  // The machine itself: what a matcher asks is not a verb of the test.
  const machine: unknown = record === undefined ? received : record.running
  if (isSubject(machine)) return { machine, record }
  const isOff = record !== undefined || 'restart' in Object(received)
  throw new BootwrightError(
    'INVALID_ARGUMENT',
    isOff
      ? `Expected a machine that is on, found "${(received as StoppedMachine).name}", which is off`
      : `Expected a machine, found ${received === null ? 'null' : typeof received}`,
    { hint: isOff ? 'Switch it on with restart().' : 'Give it what boot() resolved with; is there an await missing?' },
  )
}

function isSubject(value: unknown): value is Subject {
  return typeof value === 'object' && value !== null && 'runUnchecked' in value && 'console' in value
}

/** A result as Vitest takes it. */
export interface Verdict {
  readonly pass: boolean
  readonly message: () => string
  readonly expected?: unknown
  readonly actual?: unknown
}

/** A verdict with a message for both ways in which it can be wrong. */
export function verdict(pass: boolean, wrong: readonly string[], wrongWhenNegated: readonly string[]): Verdict {
  return { pass, message: () => (pass ? wrongWhenNegated : wrong).join('\n') }
}
