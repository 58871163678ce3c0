/** Where nothing tells the version: the one that all of this was verified with. */
export const DEFAULT_SYSTEMD_VERSION = 262

/** Changes of systemd that move measurements, and the version that each came with. */
const SINCE = {
  microcodeSection: 256,
  profiles: 257,
  hardwareIds: 257,
  firmwareSections: 258,
  /** Before, the kernel in a UKI was one more image of the firmware, with a record in PCR 4. */
  stubStartsKernel: 258,
  nvpcrs: 259,
  osSeparator: 261,
  smbiosInPcr1: 261,
  bootSecret: 261,
  automaticConsole: 261,
  entryExtras: 261,
  preferredEntry: 261,
  /** `nvpcr-init` names the index instead of its first value. */
  nvpcrNames: 262,
} as const satisfies Record<string, number>

export type SystemdChange = keyof typeof SINCE

export function hasChange(version: number, change: SystemdChange): boolean {
  return version >= SINCE[change]
}
