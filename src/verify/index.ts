export * from './run-directory.ts'
export * from './verified-machine.ts'
export * from './verify.ts'
