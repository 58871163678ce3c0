import { constants } from 'node:os'

/** How a command in the guest has ended. */
export interface GuestExit {
  /** As a shell has it: above 128 for a command that a signal has ended. */
  readonly exitCode: number
  /** The signal, where `exitCode` stands for one. */
  readonly signal?: NodeJS.Signals
}

const SIGNALS = new Map(
  Object.entries(constants.signals)
    // Names of the same number: the usual one counts.
    .filter(([name]) => !['SIGIOT', 'SIGPOLL', 'SIGUNUSED'].includes(name))
    .map(([name, number]) => [number, name as NodeJS.Signals]),
)

/** A status as a shell has it: 128 and the number of the signal. */
export function guestExit(exitCode: number): GuestExit {
  const signal = SIGNALS.get(exitCode - 128)
  return signal === undefined ? { exitCode } : { exitCode, signal }
}

/** `status 3`, `SIGKILL`: how it ended, in a sentence. */
export function describeExit({ exitCode, signal }: GuestExit): string {
  return signal ?? `status ${exitCode}`
}
