import { cloudNamed } from '../cloud/index.ts'
import { DEFAULT_SPEC, type Firmware, type MachineImage, type MachineSpec } from '../machine/index.ts'
import { macAddressIn } from '../scene/index.ts'
import { type VerifiedInstance, verifiedInstance } from './verified-instance.ts'

/** Fixed, so that two runs measure alike; a machine ID derives from it. */
const DEFAULT_UUID = 'b0070000-1111-4222-8333-444444444444'

export interface VerifiedMachine {
  readonly spec: MachineSpec
  /** The instance that it is in its cloud. */
  readonly instance: VerifiedInstance | undefined
}

/** The machine that `verify` starts, and that `predict` is about. `UNKNOWN_NAME` for a cloud that there is not. */
export function verifiedMachine(options: {
  readonly image: MachineImage
  readonly firmware: Firmware
  readonly cloud: string | undefined
  readonly accelerator: 'kvm' | 'tcg'
  /** Over everything else. */
  readonly spec?: Partial<MachineSpec>
}): VerifiedMachine {
  const { image, firmware, cloud, accelerator, spec = {} } = options
  const provider = cloud === undefined ? undefined : cloudNamed(cloud)
  const macAddress = spec.macAddress ?? macAddressIn(provider)
  const instance = provider === undefined ? undefined : verifiedInstance(provider, macAddress)
  const smbios = instance?.provider.smbios(instance.instance) ?? {}
  const uuid = smbios.system?.uuid ?? DEFAULT_UUID
  return { spec: { ...DEFAULT_SPEC, image, firmware, accelerator, uuid, smbios, macAddress, ...spec }, instance }
}
