/** A thread that hashes open files in some of the banks, and posts what became of it. */
import { parentPort, workerData } from 'node:worker_threads'
import { hashFile } from './hash-file.ts'
import type { HashOutcome, HashWork } from './hash-sections.ts'

const { files, banks } = workerData as HashWork

function outcome(): HashOutcome {
  const hashed = []
  for (const { descriptor, path } of files) {
    try {
      hashed.push(hashFile(descriptor, banks, true))
    } catch (error) {
      return { path, code: (error as NodeJS.ErrnoException).code ?? String(error) }
    }
  }
  return { hashed }
}

parentPort?.postMessage(outcome())
