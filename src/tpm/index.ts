export { checkResponse, clearCommand, isLockedOut, maxTriesCommand, permanentCommand } from './commands.ts'
export { type ObservedBoot, type ObservedExtend, observedBoot } from './observed-boot.ts'
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
export * from './standalone.ts'
export * from './swtpm.ts'
