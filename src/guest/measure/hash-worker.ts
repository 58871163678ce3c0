/** A thread that hashes open files in some of the banks, and posts what `hashFile()` returned, or threw. */
import { parentPort, workerData } from 'node:worker_threads'
import { hashFile } from './hash-file.ts'
import type { HashWork } from './hash-sections.ts'

const { descriptors, banks } = workerData as HashWork
parentPort?.postMessage(descriptors.map((descriptor) => hashFile(descriptor, banks, true)))
