export { CHECKS } from './checks/index.ts'
export * from './cloud-scene.ts'
export * from './run-directory.ts'
export * from './verify.ts'
