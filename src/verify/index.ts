export * from './run-directory.ts'
export * from './verify.ts'
