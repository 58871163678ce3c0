export * from './error.ts'
export * from './namespace.ts'
export * from './process.ts'
