export * from './guest-reads.ts'
export * from './instance.ts'
export * from './scene.ts'
