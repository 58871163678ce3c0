import type { MachineSpec } from './spec.ts'

/** What of a machine's own making ends up in which PCR: a prediction for the bare image differs there. */
export interface MeasuredInput {
  readonly what: string
  readonly pcrs: readonly number[]
}

export function measuredBy(spec: MachineSpec): MeasuredInput[] {
  const inputs: MeasuredInput[] = []
  if (spec.channel) {
    inputs.push({ what: 'guest channel: script and unit as SMBIOS type 11 credentials', pcrs: [1] })
    inputs.push({ what: 'guest channel: systemd.wants= on the kernel command line', pcrs: [1, 9, 12] })
  }
  if (Object.keys(spec.credentials).length > 0)
    inputs.push({ what: 'credentials as SMBIOS type 11 strings', pcrs: [1] })
  if (spec.kernelCommandLineExtra.length > 0) inputs.push({ what: 'extra kernel command line', pcrs: [1, 9, 12] })
  if (Object.keys(spec.smbios).length > 0) inputs.push({ what: 'SMBIOS identity of the cloud', pcrs: [1] })
  inputs.push({ what: 'UUID of the machine: SMBIOS type 1, and the machine ID of a first boot', pcrs: [1, 15] })
  return inputs
}
