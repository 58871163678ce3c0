import type { MetadataService } from '../cloud/index.ts'
import type { RunningMachine } from '../machine/index.ts'
import type { FindingCounts } from '../measure/index.ts'
import type { CheckStatus } from '../report/index.ts'
import { BootwrightError } from '../system/index.ts'
import type { GuestFacts } from './guest-facts.ts'
import type { Prediction } from './prediction.ts'
import type { VerifiedInstance } from './verified-instance.ts'

/** What a check may look at. */
export interface CheckContext {
  readonly machine: RunningMachine
  /** State of the system manager when it had finished booting. */
  readonly systemState: string
  readonly guest: GuestFacts
  readonly prediction: Prediction
  readonly cloud: CheckedCloud | undefined
}

/** The cloud that a machine was started in, and what it must have learned there. */
export interface CheckedCloud extends VerifiedInstance {
  readonly service: MetadataService
}

export interface CheckResult {
  readonly status: CheckStatus
  readonly evidence: readonly string[]
  readonly expected?: string
  readonly found?: string
  readonly hint?: string
  /** Of a check that looks at single measurements: what became of them, by PCR. */
  readonly counts?: Readonly<Record<string, FindingCounts>>
}

/** One named claim about a machine, with evidence, that can fail. */
export interface Check {
  readonly id: string
  readonly title: string
  /** It takes the machine through further boots, so that its answer may be long in coming. */
  readonly restarts?: boolean
  run(context: CheckContext): Promise<CheckResult>
}

export function passed(...evidence: string[]): CheckResult {
  return { status: 'passed', evidence }
}

/** The image or host lacks what is named, so the claim can be neither held nor broken. */
export function unsupported(...missing: string[]): CheckResult {
  return { status: 'unsupported', evidence: missing }
}

export function failed(
  facts: Omit<CheckResult, 'status' | 'evidence'> & { readonly evidence?: readonly string[] },
): CheckResult {
  return { evidence: [], ...facts, status: 'failed' }
}

/** What a command in the guest printed as JSON. Its shape is the caller's belief: a guest can print anything. */
export function guestJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new BootwrightError(
      'MALFORMED_INPUT',
      `Expected JSON from ${what} in the guest, found "${text.slice(0, 80)}"`,
      {
        cause,
      },
    )
  }
}

/** Passed when both are the same text. */
export function equal(expected: string, found: string, ...evidence: string[]): CheckResult {
  if (expected === found) return passed(found, ...evidence)
  return failed({ expected: JSON.stringify(expected), found: JSON.stringify(found), evidence })
}
