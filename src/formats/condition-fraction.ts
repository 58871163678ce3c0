import { createHmac } from 'node:crypto'
import { BootwrightError } from '../system/index.ts'

/** What `ConditionFraction=` says (systemd.unit(5)): which part of a fleet a unit runs on. */
export interface Fraction {
  /** Another tag selects another part; empty when there is none. */
  readonly tag: string
  /** In hundredths of a percent, 0 to 10000. */
  readonly permyriad: number
}

const WHOLE = 10_000
const MAX_U32 = 0xffff_ffff

/**
 * Reads the value of `ConditionFraction=` without a leading `!`: `[TAG ]PERCENT`, in %, ‰ or ‱. In unit files a percent
 * sign may be doubled. Throws `INVALID_ARGUMENT` where systemd cannot determine a result.
 */
export function parseFraction(value: string): Fraction {
  const words = value.trim().split(/\s+/)
  const [tag = '', part = ''] = words.length === 1 ? ['', words[0]] : words
  const permyriad = words.length > 2 ? undefined : permyriadOf(part)
  if (permyriad === undefined) {
    throw new BootwrightError('INVALID_ARGUMENT', `Expected "[TAG ]PERCENT" for a fraction, found "${value}"`, {
      hint: 'For example "20%", or "rollout-a 12.5%": at most two decimals, at most 100 %.',
    })
  }
  return { tag, permyriad }
}

const UNITS: readonly (readonly [pattern: RegExp, permyriad: number])[] = [
  [/^(\d+)(?:\.(\d{1,2}))?%{1,2}$/, 100],
  [/^(\d+)(?:\.(\d))?‰$/, 10],
  [/^(\d+)‱$/, 1],
]

function permyriadOf(part: string): number | undefined {
  for (const [pattern, unit] of UNITS) {
    const match = pattern.exec(part)
    if (match === null) continue
    const decimals = (match[2] ?? '').padEnd(String(unit).length - 1, '0')
    const value = Number(match[1]) * unit + Number(decimals === '' ? 0 : decimals)
    return value <= WHOLE ? value : undefined
  }
  return undefined
}

/**
 * Whether a machine belongs to the fraction: the first four bytes of HMAC-SHA-256, keyed by the machine ID, over
 * `systemd-fraction-` and the tag, are below the fraction of 2³²−1.
 *
 * @param machineId 32 hexadecimal digits (machine-id(5)), checked with {@link isMachineId}
 */
export function isInFraction(machineId: string, { tag, permyriad }: Fraction): boolean {
  if (permyriad === 0) return false
  if (permyriad >= WHOLE) return true
  const threshold = Math.floor((permyriad * MAX_U32 + WHOLE / 2) / WHOLE)
  return fractionPoint(machineId, tag) < threshold
}

/** Where a machine stands in the fleet of a tag: an unsigned 32-bit number. */
export function fractionPoint(machineId: string, tag: string): number {
  return createHmac('sha256', Buffer.from(machineId, 'hex')).update(`systemd-fraction-${tag}`).digest().readUInt32LE(0)
}

export function isMachineId(text: string): boolean {
  return /^[0-9a-f]{32}$/.test(text) && !/^0{32}$/.test(text)
}
