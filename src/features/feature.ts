import { BootwrightError } from '../system/index.ts'
import { type Check, type CheckContext, type CheckResult, failed, passed, unsupported } from '../verify/index.ts'
import type { Requirement } from './requirement.ts'

/** The parts of a system that `--features=` chooses among. */
export const GROUPS = ['service-manager', 'boot-chain', 'network', 'containers', 'credentials'] as const
export type Group = (typeof GROUPS)[number]

/** One thing that was looked at. */
export interface Claim {
  readonly what: string
  readonly expected: string
  readonly found: string
  /** The same thing looked at where the feature is off or does not apply: it must be told apart. */
  readonly isNegative: boolean
}

/** A feature of systemd 261 or 262, and how it is seen at work in a machine that has booted. */
export interface Feature {
  /** Stable, for CI rules: `condition-fraction`. */
  readonly id: string
  readonly group: Group
  readonly title: string
  /** What the news of systemd 261 and 262 call it. */
  readonly topic: string
  readonly requires: readonly Requirement[]
  /** It restarts the machine, which the features after it find in another boot. */
  readonly restarts?: true
  /** Uses the feature, with at least one claim of each kind, and leaves nothing behind. */
  observe(context: CheckContext): Promise<readonly Claim[]>
}

export function claim(what: string, expected: string | number | boolean, found: string | number | boolean): Claim {
  return { what, expected: String(expected), found: String(found), isNegative: false }
}

/** A claim about the feature being off. */
export function negative(what: string, expected: string | number | boolean, found: string | number | boolean): Claim {
  return { ...claim(what, expected, found), isNegative: true }
}

/**
 * The check of a feature: `unsupported` with what is missing, `failed` with the first claim that does not hold, or
 * `passed`. A feature that was not seen off as well has not been seen.
 */
export function checkOf(feature: Feature): Check {
  return {
    id: `feature-${feature.id}`,
    title: feature.title,
    restarts: feature.restarts === true,
    async run(context) {
      const missing = await missingFor(feature, context)
      return missing.length > 0 ? unsupported(...missing) : judge(feature, await feature.observe(context))
    },
  }
}

async function missingFor({ requires }: Feature, context: CheckContext): Promise<string[]> {
  const missing: string[] = []
  for (const requirement of requires) {
    if (!(await requirement.isMet(context))) missing.push(requirement.name)
  }
  return missing
}

function judge({ id }: Feature, claims: readonly Claim[]): CheckResult {
  if (!claims.some(({ isNegative }) => isNegative) || claims.every(({ isNegative }) => isNegative)) {
    throw new BootwrightError('BUG', `Feature "${id}" was not looked at both on and off`)
  }
  const evidence = claims.map(({ what, found, isNegative }) => `${isNegative ? 'off: ' : ''}${what}: ${found}`)
  const broken = claims.filter(({ expected, found }) => expected !== found)
  const [first] = broken
  if (first === undefined) return passed(...evidence)
  return failed({ expected: `${first.what}: ${first.expected}`, found: first.found, evidence })
}
