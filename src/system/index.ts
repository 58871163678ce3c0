export * from './error.ts'
export * from './process.ts'
export * from './wait.ts'
