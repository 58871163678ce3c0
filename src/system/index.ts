export * from './error.ts'
export * from './host-refusal.ts'
export * from './namespace.ts'
export * from './process.ts'
