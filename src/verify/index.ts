export { type Check, type CheckContext, type CheckResult, failed, passed, unsupported } from './check.ts'
export * from './run-directory.ts'
export * from './verified-machine.ts'
export * from './verify.ts'
