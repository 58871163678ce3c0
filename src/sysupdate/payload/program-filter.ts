import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { BootwrightError } from '../../system/index.ts'
import { damaged } from './compression.ts'
import { printable } from './download-error.ts'

const MAX_COMPLAINT = 2000

/** Sends bytes through a program. Leaving the result early ends the program, which is waited for in any case. */
export async function* throughProgram(
  argv: readonly [string, ...string[]],
  input: AsyncIterable<Buffer>,
  signal?: AbortSignal,
): AsyncGenerator<Buffer, void, void> {
  signal?.throwIfAborted()
  const [program, ...args] = argv
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'], env: { PATH: process.env.PATH, LC_ALL: 'C' } })
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  ended.catch(() => undefined)
  const abort = (): void => void child.kill('SIGKILL')
  signal?.addEventListener('abort', abort, { once: true })
  let complaint = ''
  child.stderr.on('data', (text: Buffer) => {
    complaint = (complaint + text.toString()).slice(0, MAX_COMPLAINT)
  })
  let inputError: { error: unknown } | undefined
  const fed = pipeline(Readable.from(input, { objectMode: false }), child.stdin).catch((error: unknown) => {
    // When the program has ended, it knows better why.
    if ((error as NodeJS.ErrnoException).code === 'EPIPE') return
    inputError = { error }
    child.kill('SIGKILL')
  })
  let isOver = false
  try {
    yield* child.stdout as AsyncIterable<Buffer>
    const status = await ended.catch((cause: unknown) => {
      throw missing(program, cause)
    })
    await fed
    isOver = true
    signal?.throwIfAborted()
    if (inputError !== undefined) throw inputError.error
    if (status !== 0) throw damaged(program, printable(complaint.trim() || `it ended with status ${status}`))
  } finally {
    signal?.removeEventListener('abort', abort)
    if (!isOver && child.exitCode === null && child.pid !== undefined) {
      child.kill('SIGKILL')
      await Promise.race([once(child, 'close'), ended.catch(() => undefined)])
    }
  }
}

function missing(program: string, cause: unknown): BootwrightError {
  return new BootwrightError('TOOL_MISSING', `Cannot start ${program}, which decompresses what was downloaded`, {
    cause,
    hint: `Install ${program} on the system that is updated, or release in a format that needs no program: zstd or gzip.`,
  })
}
