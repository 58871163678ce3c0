import type { ExtraDisk, MachineSpec, RunningMachine, StoppedMachine } from '../machine/index.ts'
import type { Revoked } from '../scene/index.ts'
import type { PcrBank } from '../tpm/index.ts'
import type { CloudDescription } from './cloud-description.ts'
import type { SharedNetwork } from './shared-network.ts'
import type { AllowedSymptom } from './symptoms.ts'
import type { TestCloud } from './test-cloud.ts'

/** A TPM 2.0 with the banks given, or none at all. */
export type TpmChoice = { readonly banks: readonly PcrBank[] } | 'absent'

/** Where a machine begins, and how far `boot` goes with it. */
type Start<Channel extends boolean> = Channel extends false
  ? {
      /** Nothing in the guest could say that it has booted: `boot` resolves when the machine is on. */
      readonly from?: 'cold'
      readonly until?: 'power-on'
    }
  :
      | {
          /** `booted`: goes on where a machine of the same spec had booted, in under a second. `cold`: from power-on. */
          readonly from?: 'booted' | 'cold'
          readonly until?: 'booted'
          /** `fresh`: with a machine ID and VM generation of its own, where the test is about two of a kind. */
          readonly identity?: 'same' | 'fresh'
        }
      | {
          readonly from: 'cold'
          /** `power-on`: does not wait for the boot, for those who expect that there is none. */
          readonly until: 'power-on'
        }

/** Where a machine is: in a network of its own, which may be a cloud's, or in one with others. */
type Place =
  | {
      /** Name of a cloud, or one described: `aws({ userData })`. */
      readonly cloud?: string | CloudDescription | undefined
      readonly network?: undefined
      readonly name?: undefined
    }
  | {
      /** From the fixture `openNetwork`. */
      readonly network: SharedNetwork
      /** What the others call it. */
      readonly name: string
      readonly cloud?: undefined
    }

/** What {@link Boot} takes besides the image. Everything has a default: a plain machine with a TPM, in no cloud, booted. */
export type BootOptions<Channel extends boolean = boolean, Tpm extends TpmChoice = TpmChoice> = {
  /** Name of a firmware variant. */
  readonly firmware?: string | undefined
  /** `false`: leaves the image unsigned, though the firmware knows the user's own keys. */
  readonly sign?: boolean
  /** What the firmware's dbx forbids of the image: its boot loader or UKI by digest, or whoever signed them. */
  readonly revoked?: readonly Revoked[]
  readonly tpm?: Tpm
  readonly memoryMiB?: number
  readonly cores?: number
  /** Size of the disk that the guest sees; that of the image without. */
  readonly diskMiB?: number
  /** Disks besides that of the image, as `/dev/disk/by-id/virtio-<name>`: empty, or with the content of a raw file. */
  readonly disks?: readonly ExtraDisk[]
  /** Addresses of network cards besides the first, in the same network. */
  readonly furtherMacAddresses?: readonly string[]
  /** How far its clock is ahead of the host's at power-on; behind it when negative. */
  readonly clockOffsetSeconds?: number
  /** A screen to take pictures of. */
  readonly screen?: boolean
  /** Over what the cloud says. */
  readonly smbios?: MachineSpec['smbios']
  readonly credentials?: MachineSpec['credentials']
  /** Words added to the kernel command line. */
  readonly kernelCommandLine?: readonly string[]
  /** `false`: nothing of ours is in the guest, and nothing can be run in it. */
  readonly channel?: Channel
  /** So long may its guest give no sign of life before what waits for its answer rejects with `GUEST_SILENT`; 120 s without. */
  readonly silenceMs?: number
  /** Symptoms of this machine that must not fail the test. */
  readonly allowedSymptoms?: readonly AllowedSymptom[]
} & Start<Channel> &
  Place

/** What {@link TestMachine.fork} takes. */
export interface ForkChoice {
  /** `fresh`: with a machine ID and VM generation of its own. */
  readonly identity?: 'same' | 'fresh'
}

/** What needs somebody in the guest who answers. */
type ChannelVerb = Extract<
  keyof RunningMachine,
  | 'run'
  | 'runUnchecked'
  | 'spawn'
  | 'readFile'
  | 'writeFile'
  | 'copyIn'
  | 'copyOut'
  | 'booted'
  | 'unitActive'
  | 'unitFailed'
  | 'failedUnits'
  | 'journal'
  | 'varlink'
  | 'reboot'
  | 'softReboot'
  | 'kexec'
  | 'eventLog'
>
type TpmVerb = Extract<keyof RunningMachine, 'tpm' | 'eventLog'>
/** Verbs that end the power-on, or make another one: their results are machines of the test as well. */
type PowerVerb = 'powerOff' | 'cutPower' | 'save'
type Missing<Channel extends boolean, Tpm extends TpmChoice> =
  | (Channel extends false ? ChannelVerb : never)
  | (Tpm extends 'absent' ? TpmVerb : never)

/** A machine that is on: the verbs that its options leave it. Leaving the scope switches it off when the test is over. */
export type TestMachine<Channel extends boolean = true, Tpm extends TpmChoice = TpmChoice> = Omit<
  RunningMachine,
  PowerVerb | Missing<Channel, Tpm> | typeof Symbol.asyncDispose
> & {
  [Verb in PowerVerb]: (...args: Parameters<RunningMachine[Verb]>) => Promise<StoppedTestMachine<Channel, Tpm>>
} & {
  /** The cloud that it is in: its instance, which can change, and the metadata service with its transcript and faults. */
  readonly cloud: TestCloud | undefined
  /**
   * Another machine that goes on from where this one is now, which goes on as well. It has a network, a cloud, disks,
   * variables and a TPM of its own, as they were at that moment.
   */
  fork(options?: ForkChoice): Promise<TestMachine<Channel, Tpm>>
} & AsyncDisposable

/** A machine that is off. */
export type StoppedTestMachine<Channel extends boolean = true, Tpm extends TpmChoice = TpmChoice> = Omit<
  StoppedMachine,
  'restart' | typeof Symbol.asyncDispose
> & { restart(...args: Parameters<StoppedMachine['restart']>): Promise<TestMachine<Channel, Tpm>> } & AsyncDisposable

/**
 * Starts a machine with an image of the project, built first if need be.
 *
 * Rejects with `UNKNOWN_NAME`, listing those that exist, for an image, cloud or firmware that does not.
 */
export type Boot = <
  const Channel extends boolean = true,
  const Tpm extends TpmChoice = { readonly banks: readonly PcrBank[] },
>(
  image: string,
  options?: BootOptions<Channel, Tpm>,
) => Promise<TestMachine<Channel, Tpm>>
