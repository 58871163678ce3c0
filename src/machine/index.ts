export * from './channel.ts'
export * from './console.ts'
export type { DiskView } from './disk-view.ts'
export { EFI_GLOBAL_VARIABLE, type EfiVariables } from './efi-variables.ts'
export * from './faults/index.ts'
export * from './firmware.ts'
export * from './fork.ts'
export type { CommandOutput, WaitOptions } from './guest.ts'
export type { GuestExit } from './guest-exit.ts'
export type { GuestProcess } from './guest-process.ts'
export type { GuestTpm, QuoteOptions } from './guest-tpm.ts'
export {
  JOURNAL_PRIORITIES,
  type JournalEntry,
  type JournalOptions,
  type JournalPriority,
} from './journal.ts'
export { KEY_ATTRIBUTES, type KeyEntry, keyVariableGuid, signatureList, withKeyEntry } from './key-enrolment.ts'
export * from './machine.ts'
export type { MeasuredInput } from './measured-input.ts'
export * from './network.ts'
export { KEY_VARIABLES, type KeyVariable, type OwnKeys } from './own-keys.ts'
export type { KexecOptions } from './power.ts'
export { machineOemStrings } from './power-on.ts'
export { CHANNEL_PORT, qemuCommand } from './qemu-command.ts'
export * from './running-machine.ts'
export * from './spec.ts'
export { reapStateDirectories } from './state-directory.ts'
export { type VarlinkClient, VarlinkError, type VarlinkOptions, type VarlinkParameters } from './varlink.ts'
