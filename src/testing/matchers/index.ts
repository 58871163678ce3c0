import { toHavePcr, toMeasureAsPredicted } from './measurements.ts'
import { toReachMetadata } from './metadata.ts'
import { toPrint } from './output.ts'
import { toRefuseBoot } from './refusal.ts'
import { toBeRunning, toBeUpdatedTo, toHaveFailedUnits } from './system.ts'

export const matchers = {
  toBeRunning,
  toHaveFailedUnits,
  toPrint,
  toHavePcr,
  toMeasureAsPredicted,
  toRefuseBoot,
  toReachMetadata,
  toBeUpdatedTo,
}

type Rest<F> = F extends (received: unknown, ...args: infer Args) => unknown ? Args : never
type ResultOf<F, R> = F extends (...args: never[]) => Promise<unknown> ? Promise<void> : R

/** The matchers as `expect(…)` has them. */
export type MachineMatchers<R> = {
  /** Waits for the boot to finish; fails with what keeps the system from being content. */
  toBeRunning(...args: Rest<typeof toBeRunning>): ResultOf<typeof toBeRunning, R>
  /** Waits until just these units have failed; shows the status of the others. */
  toHaveFailedUnits(...args: Rest<typeof toHaveFailedUnits>): ResultOf<typeof toHaveFailedUnits, R>
  /** On what `run` resolves with: standard output, without the newline at its end. */
  toPrint(...args: Rest<typeof toPrint>): R
  /** Waits until a PCR has a value, in hexadecimal; bank sha256 unless another is named. */
  toHavePcr(...args: Rest<typeof toHavePcr>): ResultOf<typeof toHavePcr, R>
  /** Compares PCR 11 with what the UKI leads to, and every PCR with the replay of the event logs. */
  toMeasureAsPredicted(...args: Rest<typeof toMeasureAsPredicted>): ResultOf<typeof toMeasureAsPredicted, R>
  /** On a machine booted with `until: 'power-on'`: waits until it refuses, and wants to know who and why. */
  toRefuseBoot(...args: Rest<typeof toRefuseBoot>): ResultOf<typeof toRefuseBoot, R>
  /** Waits until the guest gets an answer from its cloud's metadata service. */
  toReachMetadata(...args: Rest<typeof toReachMetadata>): ResultOf<typeof toReachMetadata, R>
  /** Waits until the running system is this version: `IMAGE_VERSION=` of os-release(5). */
  toBeUpdatedTo(...args: Rest<typeof toBeUpdatedTo>): ResultOf<typeof toBeUpdatedTo, R>
}
