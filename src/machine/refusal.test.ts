import { describe, expect, it } from 'vitest'
import { BootwrightError, type ErrorCode } from '../system/index.ts'
import { refusalOf } from './refusal.ts'

const error = (code: ErrorCode, message = ''): BootwrightError => new BootwrightError(code, message)
const LAST_WORD = 'BdsDxe: No bootable option or device was found.'
const firmware = error('BOOT_REFUSED', `The firmware of machine "m" did not start the image: ${LAST_WORD}`)

describe('refusalOf()', () => {
  // Lines of OVMF 2026.08 and systemd 262.
  it('is by the firmware where that would not load a program', () => {
    const line = 'BdsDxe: failed to load Boot0002 "UEFI Misc Device" from PciRoot(0x0)/Pci(0x1,0x0): Access Denied'
    expect(refusalOf(firmware, [line, LAST_WORD])).toEqual({ by: 'firmware', because: ['secure-boot'] })
  })

  it('is by the boot loader where that came back', () => {
    const lines = [
      '../src/boot/boot.c:3021@call_image_start: Error loading EFI binary \\EFI\\Linux\\a.efi: Access denied',
      'BdsDxe: failed to start Boot0002 "UEFI Misc Device" from PciRoot(0x0)/Pci(0x1,0x0): Access Denied',
      LAST_WORD,
    ]
    expect(refusalOf(firmware, lines)).toEqual({ by: 'boot-loader', because: ['secure-boot'] })
    const halting = error('BOOT_REFUSED', 'The boot loader of machine "m" gave up')
    expect(refusalOf(halting, [])).toEqual({ by: 'boot-loader', because: [] })
  })

  it('is for want of a loader where nothing was denied', () => {
    const line = 'BdsDxe: failed to load Boot0002 "UEFI Misc Device" from PciRoot(0x0)/Pci(0x1,0x0): Not Found'
    expect(refusalOf(firmware, [line, LAST_WORD])).toEqual({ by: 'firmware', because: ['no-loader'] })
  })

  it('is by kernel, process 1 and emergency mode', () => {
    expect(refusalOf(error('GUEST_PANIC', 'VFS: Unable to mount root fs'), [])).toEqual({
      by: 'kernel',
      because: ['no-root'],
    })
    expect(refusalOf(error('GUEST_PANIC', 'Process 1 of machine "m" gave up'), [])?.by).toBe('service-manager')
    expect(refusalOf(error('GUEST_EMERGENCY'), ['systemd-veritysetup failed'])).toEqual({
      by: 'emergency-mode',
      because: ['verity'],
    })
  })

  it('is none where something else went wrong', () => {
    expect(refusalOf(error('BOOT_STALLED'), ['Access Denied'])).toBeUndefined()
    expect(refusalOf(error('GUEST_GONE'), [])).toBeUndefined()
  })
})
