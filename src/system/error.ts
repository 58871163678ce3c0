/** Which side a failure is on. They are never mixed in a report, and each has its exit status. */
export type ErrorFamily = 'guest' | 'usage' | 'host' | 'bug'

/**
 * Every failure this program can name. Codes are public: CI rules and reports group failures by them, so none is ever
 * renamed or used for something else.
 */
const FAMILIES = {
  // The machine under test is wrong.
  BOOT_REFUSED: 'guest',
  BOOT_STALLED: 'guest',
  GUEST_PANIC: 'guest',
  GUEST_EMERGENCY: 'guest',
  GUEST_COMMAND_FAILED: 'guest',
  GUEST_UNIT_FAILED: 'guest',
  GUEST_GONE: 'guest',
  GUEST_SILENT: 'guest',
  GUEST_FLOOD: 'guest',
  GUEST_SYMPTOM: 'guest',
  TPM_REFUSED: 'guest',
  MALFORMED_INPUT: 'usage',
  // The caller asked for something that does not exist or cannot be.
  UNKNOWN_NAME: 'usage',
  INVALID_ARGUMENT: 'usage',
  BUILD_FAILED: 'usage',
  IMAGE_INCOMPLETE: 'usage',
  NOT_REPRODUCIBLE: 'guest',
  UPDATE_UNTRUSTED: 'guest',
  UPDATE_REFUSED: 'usage',
  // The host, or a tool on it, cannot do its part.
  HOST_UNSUITABLE: 'host',
  TOOL_MISSING: 'host',
  TOOL_FAILED: 'host',
  HELPER_EXITED: 'host',
  SNAPSHOT_FAILED: 'host',
  NO_SPACE: 'host',
  PACKAGE_SOURCE: 'host',
  NAMESPACE_DENIED: 'host',
  DOWNLOAD_FAILED: 'host',
  UPDATE_LOCKED: 'host',
  TIMED_OUT: 'host',
  INTERRUPTED: 'host',
  // This program is wrong.
  BUG: 'bug',
} as const satisfies Record<string, ErrorFamily>

export type ErrorCode = keyof typeof FAMILIES

export interface ErrorFacts {
  readonly cause?: unknown
  /** What the reader can do next, as one sentence. */
  readonly hint?: string
  /** Facts for the report. No secrets, no whole logs. */
  readonly detail?: Readonly<Record<string, string | number | boolean>>
}

/** A failure that says what was expected, what was found, and what to do. */
export class BootwrightError extends Error {
  override readonly name: string = 'BootwrightError'
  readonly code: ErrorCode
  readonly hint: string | undefined
  readonly detail: Readonly<Record<string, string | number | boolean>>

  constructor(code: ErrorCode, message: string, facts: ErrorFacts = {}) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause })
    this.code = code
    this.hint = facts.hint
    this.detail = facts.detail ?? {}
  }

  get family(): ErrorFamily {
    return FAMILIES[this.code]
  }
}

/** Exit status of the program: 1 a check or guest failed, 2 usage, 3 host or toolchain, 4 a bug in Bootwright. */
export function exitStatus(error: unknown): number {
  if (!(error instanceof BootwrightError)) return 4
  return { guest: 1, usage: 2, host: 3, bug: 4 }[error.family]
}

/** The name that was asked for is not one of those that exist; the message lists them. */
export function unknownName(kind: string, name: string, known: readonly string[]): BootwrightError {
  const list = known.length === 0 ? 'there are none' : `there are: ${[...known].sort().join(', ')}`
  return new BootwrightError('UNKNOWN_NAME', `There is no ${kind} "${name}"; ${list}`, {
    hint: `Use one of the names above${known.length === 0 ? '' : `, for example "${[...known].sort()[0]}"`}.`,
    detail: { kind, name },
  })
}
