import type { BootwrightError } from '../system/index.ts'

/** Who can refuse to go on with a boot. */
export type Refuser = 'firmware' | 'boot-loader' | 'kernel' | 'service-manager' | 'emergency-mode'

/** What the console says of reasons that have a name; what says most comes first. */
const REASONS = {
  /** The firmware trusts no signature of a program, or was told to trust it no longer. */
  'secure-boot': /Access Denied|Security Violation|Secure Boot violation/i,
  /** dm-verity found other data than its hash tree speaks of, or no root hash that fits. */
  verity: /verity|device-mapper: reload ioctl/i,
  /** What should be the root file system is not there. */
  'no-root': /Unable to mount root fs|Cannot open root device|Timed out waiting for device|systemd-gpt-auto-root/,
  /** No boot option led to anything that could be started. */
  'no-loader': /No bootable option|BdsDxe: failed to load .*: Not Found/,
} as const
export type NamedReason = keyof typeof REASONS
export const NAMED_REASONS = Object.keys(REASONS) as readonly NamedReason[]

/** Somebody would not go on with a boot. */
export interface Refusal {
  readonly by: Refuser
  /** All reasons that the console speaks of; none that has a name in an empty list. */
  readonly because: readonly NamedReason[]
}

/** edk2, when a program that it had started came back: it was that which could not go on, not the firmware. */
const CAME_BACK = /^BdsDxe: failed to start Boot/m

/** The refusal that an error of a boot is, with the console's words for it; undefined for another failure. */
export function refusalOf(error: BootwrightError, consoleLines: readonly string[]): Refusal | undefined {
  const text = `${error.message}\n${consoleLines.join('\n')}`
  const by = refuserOf(error, text)
  if (by === undefined) return undefined
  const reasons = NAMED_REASONS.filter((name) => REASONS[name].test(text))
  // When nothing of a disk may be started, the firmware ends with the same words as when there is nothing on it.
  return { by, because: reasons.filter((name) => name !== 'no-loader' || !reasons.includes('secure-boot')) }
}

function refuserOf({ code, message }: BootwrightError, text: string): Refuser | undefined {
  if (code === 'BOOT_REFUSED') {
    return message.startsWith('The boot loader') || CAME_BACK.test(text) ? 'boot-loader' : 'firmware'
  }
  if (code === 'GUEST_PANIC') return message.startsWith('Process 1') ? 'service-manager' : 'kernel'
  return code === 'GUEST_EMERGENCY' ? 'emergency-mode' : undefined
}
