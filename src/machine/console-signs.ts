import { BootwrightError } from '../system/index.ts'

/** What a console line proves about the machine; the end of every wait. */
interface Sign {
  readonly pattern: RegExp
  error(machine: string, line: string): BootwrightError
}

const SIGNS: readonly Sign[] = [
  {
    pattern: /Kernel panic - not syncing/,
    error: (machine, line) =>
      new BootwrightError('GUEST_PANIC', `The kernel of machine "${machine}" panicked: ${line}`, {
        hint: 'The lines before it on the console tell what it could not do.',
        detail: { machine, line },
      }),
  },
  {
    // systemd: emergency_action() and manager's crash handler.
    pattern:
      /Freezing execution|!!!!!!.*Attempted to kill init|Caught <\w+>, dumped core|Failed to execute .* giving up/,
    error: (machine, line) =>
      new BootwrightError('GUEST_PANIC', `Process 1 of machine "${machine}" gave up: ${line}`, {
        detail: { machine, line },
      }),
  },
  {
    pattern:
      /You are in emergency mode|You are in rescue mode|Cannot open access to console, the root account is locked/,
    error: (machine, line) =>
      new BootwrightError('GUEST_EMERGENCY', `Machine "${machine}" is in emergency mode: ${line}`, {
        hint: 'A unit that the boot needs has failed: look for "Failed to start" or "Dependency failed" on the console.',
        detail: { machine, line },
      }),
  },
  {
    // edk2: BmMessage.c and the image verification handler; the shell is where OVMF ends when nothing boots.
    pattern:
      /BdsDxe: No bootable option|BdsDxe: failed to (?:load|start) .*(?:Access Denied|Security Violation|Not Found|Load Error|Unsupported|Volume Corrupt)|UEFI Interactive Shell/i,
    error: (machine, line) =>
      new BootwrightError('BOOT_REFUSED', `The firmware of machine "${machine}" did not start the image: ${line}`, {
        hint: 'Is there a loader at \\EFI\\BOOT\\BOOTX64.EFI, and does the firmware trust its signer (db, dbx)?',
        detail: { machine, line },
      }),
  },
  {
    // systemd-boot and the stub: their messages before they return to the firmware.
    pattern:
      /^(?:Error (?:loading|starting|preparing|opening)|Failed to (?:start|load|execute) .*\.efi|No loader found)/i,
    error: (machine, line) =>
      new BootwrightError('BOOT_REFUSED', `The boot loader of machine "${machine}" gave up: ${line}`, {
        detail: { machine, line },
      }),
  },
]

/** The failure that a console line proves, if it proves one. */
export function failureOn(machine: string, line: string): BootwrightError | undefined {
  const sign = SIGNS.find(({ pattern }) => pattern.test(line))
  return sign?.error(machine, line.trim())
}
