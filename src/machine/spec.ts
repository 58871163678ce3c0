import type { SmbiosIdentity } from '../formats/index.ts'
import type { PcrBank } from '../tpm/index.ts'
import type { Firmware } from './firmware.ts'

/** The disk that a machine starts from. It is never written to: each machine has an overlay of its own. */
export interface MachineImage {
  readonly name: string
  readonly version: string
  /** Changes with the content of the disk; without it the file's size, time and place stand for it. */
  readonly identity?: string
  /** A raw disk with an EFI system partition. */
  readonly diskPath: string
}

/** A disk that the guest finds as `/dev/disk/by-id/virtio-<name>`. */
export interface ExtraDisk {
  /** At most 20 letters, digits and hyphens: its serial number (virtio 1.3, 5.2.6.1 VIRTIO_BLK_T_GET_ID). */
  readonly name: string
  /** That of `contentPath` when absent; one of the two is needed. */
  readonly sizeMiB?: number
  /** A raw disk to begin with, which is never written to; empty without. */
  readonly contentPath?: string
}

/** What a virtual machine is made of; everything that can change a measurement is in here. */
export interface MachineSpec {
  readonly image: MachineImage
  readonly firmware: Firmware
  readonly tpm: { readonly banks: readonly PcrBank[] } | 'absent'
  readonly accelerator: 'kvm' | 'tcg'
  readonly memoryMiB: number
  /** Size of the disk that the guest sees, where it is to find room to grow; the image's own without it. */
  readonly diskMiB?: number
  /** Disks besides the one with the image. */
  readonly disks?: readonly ExtraDisk[]
  readonly cores: number
  /** Lower-case UUID of the machine; a guest without a machine ID takes it for that (systemd, machine-id(5)). */
  readonly uuid: string
  /** VM generation ID: a guest that finds another one knows that it is a copy (Microsoft VM Generation ID; QEMU vmgenid). */
  readonly generationId: string
  /** What software recognises its cloud by; absent fields keep QEMU's own values. */
  readonly smbios: Partial<Omit<SmbiosIdentity, 'oemStrings'>>
  /** System credentials, handed over as SMBIOS type 11 strings (systemd.system-credentials(7)). */
  readonly credentials: Readonly<Record<string, string | Uint8Array>>
  /** Words for `io.systemd.stub.kernel-cmdline-extra=`; measured into PCR 12 and 9. */
  readonly kernelCommandLineExtra: readonly string[]
  /** A screen to take pictures of. Without one the machine has a serial console only. */
  readonly screen?: boolean
  /** Without a channel no command can be run in the guest, and nothing of ours changes its measurements. */
  readonly channel: boolean
  readonly macAddress: string
  /** Addresses of further network cards, in the same network. */
  readonly furtherMacAddresses?: readonly string[]
  /** How far its clock is ahead of the host's at power-on; behind it when negative, and equal when absent. */
  readonly clockOffsetSeconds?: number
}

export const DEFAULT_SPEC = {
  tpm: { banks: ['sha256'] },
  memoryMiB: 1024,
  cores: 2,
  // The same for each cold boot, so that two of them measure alike.
  generationId: 'b0070000-2222-4333-8444-555555555555',
  smbios: {},
  credentials: {},
  kernelCommandLineExtra: [],
  channel: true,
  macAddress: '52:54:00:b0:07:01',
} as const satisfies Partial<MachineSpec>
