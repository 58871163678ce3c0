export { checkResponse, clearCommand, isLockedOut, maxTriesCommand, permanentCommand } from './commands.ts'
export type { TpmSend } from './execute.ts'
export * from './nv.ts'
export { type ObservedBoot, type ObservedExtend, observedBoot } from './observed-boot.ts'
export * from './pcr.ts'
export * from './policy.ts'
export {
  type AttestationKey,
  attestationKeyCommand,
  checkQuote,
  parseAttestationKey,
  parseQuote,
  type Quote,
  quoteCommand,
  quotedDigest,
} from './quote.ts'
export * from './sealing.ts'
export * from './standalone.ts'
export * from './swtpm.ts'
