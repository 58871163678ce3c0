import { extname } from 'node:path'
import { getAsset, isSea } from 'node:sea'
import { SHARE_ENV, Worker } from 'node:worker_threads'
import { errnoText, ToolFailure } from '../tool-failure.ts'
import type { HashedFile } from './hash-file.ts'

/** What a thread is given. */
export interface HashWork {
  readonly files: readonly { readonly descriptor: number; readonly path: string }[]
  readonly banks: readonly string[]
}

/** What it posts in the end. */
export type HashOutcome =
  | { readonly hashed: readonly HashedFile[] }
  /** It could not read a file: errno(3) by name. */
  | { readonly path: string; readonly code: string }

/** The name of the thread's program among the assets of a single executable. */
export const HASH_WORKER_ASSET = 'hash-worker.js'

/** Threads without work, kept for the next call: one takes as long to start as to hash 5 MB in four banks. */
const idle: Worker[] = []

/**
 * Hashes open files in another thread. Rejects with the words of `systemd-measure` for a file that cannot be read, and
 * when the thread ends without an answer.
 */
export async function hashInThread(work: HashWork, start: () => Worker = startThread): Promise<readonly HashedFile[]> {
  const worker = idle.pop() ?? start()
  worker.ref()
  const answer = Promise.withResolvers<HashOutcome>()
  const ended = (code: number) =>
    answer.reject(new ToolFailure(`A thread that hashes ended with ${code}, without a result.`))
  worker.on('message', answer.resolve).on('error', answer.reject).on('exit', ended)
  try {
    worker.postMessage(work)
    const outcome = await answer.promise
    worker.off('message', answer.resolve).off('error', answer.reject).off('exit', ended)
    // It must not keep the process alive.
    worker.unref()
    idle.push(worker)
    if ('hashed' in outcome) return outcome.hashed
    throw new ToolFailure(`Failed to read '${outcome.path}': ${errnoText(outcome)}`)
  } catch (error) {
    if (!idle.includes(worker)) void worker.terminate()
    throw error
  }
}

function startThread(): Worker {
  const options = { env: SHARE_ENV } as const
  const worker = isSea()
    ? new Worker(getAsset(HASH_WORKER_ASSET, 'utf8'), { ...options, eval: true })
    : new Worker(new URL(`./hash-worker${extname(import.meta.url)}`, import.meta.url), options)
  // One that ends while it has nothing to do is nobody's loss.
  worker.on('error', () => undefined)
  worker.once('exit', () => {
    if (idle.includes(worker)) idle.splice(idle.indexOf(worker), 1)
  })
  return worker
}
