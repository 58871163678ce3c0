import { BootwrightError } from '../system/index.ts'

/** What a console line proves about the machine; the end of every wait. */
interface Sign {
  readonly pattern: RegExp
  error(machine: string, line: string): BootwrightError
}

const SIGNS: readonly Sign[] = [
  {
    // At the start of a line or after printk's own prefix: a log line may quote it, a prompt may stand before it.
    pattern: /(?:^|\[ *\d+\.\d+\](?:\[ *[CT]\d+\])? )(?:---\[ end )?Kernel panic - not syncing/,
    error: (machine, line) =>
      new BootwrightError('GUEST_PANIC', `The kernel of machine "${machine}" panicked: ${line}`, {
        hint: 'The lines before it on the console tell what it could not do.',
        detail: { machine, line },
      }),
  },
  {
    // systemd as process 1: its crash handler, and the error that its main() ends with. Those of users go on after it.
    pattern: /(?:^|systemd\[1\]: )(?:Freezing execution|Caught <\w+>[,.: ])|\[!!!!!!\] /,
    error: (machine, line) =>
      new BootwrightError('GUEST_PANIC', `Process 1 of machine "${machine}" gave up: ${line}`, {
        detail: { machine, line },
      }),
  },
  {
    // systemd's sulogin-shell, and util-linux's sulogin.
    pattern: /^\s*(?:You are in (?:emergency|rescue) mode|Cannot open access to console, the root account is locked)/,
    error: (machine, line) =>
      new BootwrightError('GUEST_EMERGENCY', `Machine "${machine}" is in emergency mode: ${line}`, {
        hint: 'A unit that the boot needs has failed: look for "Failed to start" or "Dependency failed" on the console.',
        detail: { machine, line },
      }),
  },
  {
    // edk2's boot manager when it is through with all options, and the shell that is the last of them in some builds.
    // "BdsDxe: failed to load" is one option, and a loader that cannot start one entry may reboot into the next.
    pattern: /^BdsDxe: No bootable option|^UEFI Interactive Shell v/,
    error: (machine, line) =>
      new BootwrightError('BOOT_REFUSED', `The firmware of machine "${machine}" did not start the image: ${line}`, {
        hint: 'Is there a loader at \\EFI\\BOOT\\BOOTX64.EFI, and does the firmware trust its signer (db, dbx)?',
        detail: { machine, line },
      }),
  },
  {
    // edk2's CPU exception handler, which stops there.
    pattern: /^!!!! X64 Exception Type/,
    error: (machine, line) =>
      new BootwrightError('BOOT_REFUSED', `The firmware of machine "${machine}" crashed: ${line}`, {
        detail: { machine, line },
      }),
  },
  {
    // systemd-boot and the stub; whatever else they fail at, they return to the firmware, which has the last word.
    pattern: /(?:^|: )systemd-boot: .*, halting\.$/,
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

/** How many lines of the console's end an error shows. */
const SHOWN_LINES = 12
/** How many when a kernel tells of a fault in itself: which, where, with registers and calls. */
const FAULT_LINES = 80
const FAULT =
  /^(?:\[ *\d+\.\d+\](?:\[ *[CT]\d+\])? )?(?:BUG: |kernel BUG at |Oops: |[a-z][a-z0-9 -]*: [0-9a-f]{4} \[#\d+\])/

/** What of the end of a console an error shows: the last lines, or what the kernel said of the fault that ended it. */
export function tellingLines(lines: readonly string[]): readonly string[] {
  const fault = lines.findIndex((line) => FAULT.test(line))
  return fault === -1 ? lines.slice(-SHOWN_LINES) : lines.slice(fault, fault + FAULT_LINES)
}
