/** A thread that hashes open files in some of the banks, and posts what became of each work. */
import { parentPort } from 'node:worker_threads'
import { hashFile } from './hash-file.ts'
import type { HashOutcome, HashWork } from './hash-thread.ts'

function outcome({ files, banks }: HashWork): HashOutcome {
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

parentPort?.on('message', (work: HashWork) => parentPort?.postMessage(outcome(work)))
