import type { DiskReader, EfiVariable, SmbiosStructure } from '../../../formats/index.ts'
import type { HashAlgorithm } from '../../hash-algorithms.ts'
import type { Nvpcr } from './nvpcr.ts'
import type { LoadedImage } from './started-file.ts'

/** What the firmware shows of the machine's consoles (systemd-stub derives `console=` from it). */
export interface FirmwareConsoles {
  /** UID of the serial port with a text output, 0-3; undefined for none or several. */
  readonly serialPort: number | undefined
  /** PCI devices 1af4:1003. */
  readonly virtioConsoles: number
  readonly hasGraphics: boolean
}

/** The machine as its first boot loader finds it. */
export interface BootMachine {
  /** As it is right before the boot: boots change files on the ESP. */
  readonly disk: DiskReader
  /** Of the variable store at power-on. */
  readonly variables: readonly EfiVariable[]
  /** In the order of the firmware's table. */
  readonly smbios: readonly SmbiosStructure[]
  readonly isSecureBootEnabled: boolean
  /** Whether the firmware lets a driver or an addon pass; without it all pass. */
  readonly isTrusted?: (image: LoadedImage) => boolean
  /** A confidential VM believes no SMBIOS strings. */
  readonly isConfidential?: boolean
  /** What a Boot#### variable starts, if it is not the disk's \EFI\BOOT\BOOTX64.EFI. */
  readonly start?: { readonly path: string; readonly loadOptions?: string }
  /** Whether the firmware, or systemd for it, has at least 32 random bytes: without them there is no boot secret. */
  readonly offersRandomSeed: boolean
  /** The secret that the stub hands over, where it is known by other means than variable store and ESP. */
  readonly bootSecret?: Uint8Array
  readonly consoles: FirmwareConsoles
}

/** What decides the measurements of the running system, and lies neither on the boot partitions nor in the machine. */
export interface BootedSystem {
  /** 32 hexadecimal digits in /etc/machine-id. Without it the system has none yet, and takes the machine's UUID. */
  readonly machineId?: string
  /** What the system imports from the cloud's metadata service; undefined if it imports nothing. */
  readonly userData?: Uint8Array
  /** In the order in which they are set up; those that the initrd of the UKI defines without it. */
  readonly nvpcrs?: readonly Nvpcr[]
  /** Of the system; that of the stub or boot loader without it. */
  readonly systemdVersion?: number
}

export interface BootInput {
  readonly machine: BootMachine
  readonly system: BootedSystem
  /** All four without it. */
  readonly banks?: readonly HashAlgorithm[]
}
