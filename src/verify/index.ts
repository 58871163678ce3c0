export * from './cloud-scene.ts'
export * from './run-directory.ts'
export * from './verify.ts'
