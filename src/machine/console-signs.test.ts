import { describe, expect, it } from 'vitest'
import { failureOn, tellingLines } from './console-signs.ts'

/** As they come from the kernel, systemd 262, util-linux, OVMF 2026.08 and systemd-boot 262. */
const PROOFS = {
  GUEST_PANIC: [
    '[    3.141592] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)',
    '[    3.141592][    T1] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100',
    '[    3.141592] ---[ end Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100 ]---',
    'Kernel panic - not syncing: sysrq triggered crash',
    'minimal login: [   42.000001] Kernel panic - not syncing: sysrq triggered crash',
    '[    5.000000] systemd[1]: Freezing execution.',
    '[    5.000000] systemd[1]: Caught <SEGV>, dumped core as pid 240.',
    'systemd[1]: Caught <ABRT>, core dump failed (child 99, code=killed, status=6/ABRT).',
    '[!!!!!!] Failed to mount API filesystems.',
    '[!!!!!!] Failed to start up manager.',
  ],
  GUEST_EMERGENCY: [
    'You are in emergency mode. After logging in, type "journalctl -xb" to view',
    'You are in rescue mode. After logging in, type "journalctl -xb" to view',
    'Cannot open access to console, the root account is locked.',
  ],
  BOOT_REFUSED: [
    'BdsDxe: No bootable option or device was found.',
    'UEFI Interactive Shell v2.2',
    '!!!! X64 Exception Type - 0D(#GP - General Protection)  CPU Apic ID - 00000000 !!!!',
    'systemd-boot: Stack check failed, halting.',
    "../src/boot/util.c:12@efi_assert: systemd-boot: Assertion 'x' failed at ../src/boot/boot.c:7@run, halting.",
  ],
} as const

const HARMLESS = [
  '',
  // One unit is not the boot; whether it mattered, the system's state tells.
  '[FAILED] Failed to start broken.service - A broken one.',
  '[DEPEND] Dependency failed for boot-efi.mount.',
  '[  OK  ] Reached target rescue.target - Rescue Mode.',
  '[  OK  ] Reached target emergency.target - Emergency Mode.',
  '[    1.000000] Failed to start /boot/foo.efi',
  'Error opening /etc/optional.conf: no such file',
  'Error loading module foo: ignored',
  // Somebody quotes it.
  '[    7.000000] app[99]: last boot ended with Kernel panic - not syncing: VFS',
  'Nov 20 10:00:00 host kernel: Kernel panic - not syncing: the boot before this one',
  '[    0.000000] Kernel command line: root=/dev/vda2 panic=1 note="Kernel panic - not syncing"',
  '[    7.000000] app[99]: You are in emergency mode',
  '[    7.000000] app[99]: BdsDxe: No bootable option or device was found.',
  'grep "UEFI Interactive Shell" boot.log',
  // The service manager of a user is not process 1.
  '[    9.000000] systemd[823]: Caught <SEGV>, dumped core as pid 824.',
  // The firmware goes on with its next option, systemd-boot with its next entry.
  'BdsDxe: failed to load Boot0002 "UEFI Misc Device" from PciRoot(0x0)/Pci(0x1,0x0): Not Found',
  'BdsDxe: failed to start Boot0001 "Linux Boot Manager" from HD(1,GPT): Security Violation',
  'BdsDxe: loading Boot0003 "EFI Internal Shell" from Fv(7CB8BDC9)/FvFile(7C04A583)',
  'BdsDxe: starting Boot0002 "UEFI Misc Device" from PciRoot(0x0)/Pci(0x1,0x0)',
  '../src/boot/boot.c:2711@image_start: Error loading EFI binary \\EFI\\Linux\\image_3.efi: Load error',
  '../src/boot/random-seed.c:250@process_random_seed: Failed to acquire RNG data, proceeding without: Not found',
  'Failed to start boot entry. Rebooting in 5s.',
]

describe('failureOn()', () => {
  const proofs = Object.entries(PROOFS).flatMap(([code, lines]) => lines.map((line) => [code, line] as const))

  it.for(proofs)('%s: %s', ([code, line]) => {
    const failure = failureOn('m', line)
    expect(failure?.code).toBe(code)
    expect(failure?.message).toMatch(/machine "m"/i)
    expect(failure?.message).toContain(line)
  })

  it.for(HARMLESS)('proves nothing: %s', (line) => {
    expect(failureOn('m', line)).toBeUndefined()
  })
})

describe('tellingLines()', () => {
  const boot = Array.from({ length: 30 }, (_, index) => `[    1.${100000 + index}] line ${index}`)

  it('are the last ones', () => {
    expect(tellingLines([...boot, 'end'])).toEqual([...boot.slice(-11), 'end'])
    expect(tellingLines([])).toEqual([])
    expect(tellingLines([...boot, '[    2.0] app[9]: BUG: mine'])).toHaveLength(12)
  })

  it.each([
    '[    1.532500] Oops: general protection fault, probably for non-canonical address 0x1: 0000 [#1] SMP NOPTI',
    '[    1.532500][    T1] BUG: kernel NULL pointer dereference, address: 0000000000000000',
    '[    1.532500] kernel BUG at mm/slub.c:1!',
    '[    1.532500] int3: 0000 [#1] SMP NOPTI',
  ])('begin with what the kernel says of its own fault: %s', (fault) => {
    const story = Array.from({ length: 40 }, (_, index) => `[    1.533] of the fault ${index}`)
    expect(tellingLines([...boot, fault, ...story])).toEqual([fault, ...story])
    expect(tellingLines([fault, ...story, ...story, ...story])).toHaveLength(80)
  })
})
