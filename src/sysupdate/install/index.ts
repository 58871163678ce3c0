export { acquireFile, type FileTarget, installFile } from './file.ts'
export { acquirePartition, installPartition, type PartitionTarget } from './partition.ts'
export type { AcquireOptions, Payload } from './payload-source.ts'
