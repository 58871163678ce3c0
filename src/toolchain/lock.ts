import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { BootwrightError } from '../system/index.ts'

export interface LockOptions {
  readonly signal?: AbortSignal | undefined
  /** Called once when somebody else holds the lock. */
  readonly onWait?: () => void
}

const BUSY_STATUS = 75

/**
 * Holds an exclusive lock on a file until it is disposed of.
 *
 * The lock is the kernel's flock(2), held by a flock(1) child whose standard input is a pipe from this process: when
 * this process dies, however it dies, the pipe closes and the lock is gone. So there is nothing stale to clean up.
 */
export async function lockFile(file: string, options: LockOptions = {}): Promise<AsyncDisposable> {
  await mkdir(dirname(file), { recursive: true })
  const free = await tryLockFile(file)
  if (free !== undefined) return free
  options.onWait?.()
  const lock = await hold(file, [], options.signal)
  if (lock === undefined) throw new BootwrightError('TOOL_FAILED', `Cannot lock ${file}: flock ended early`)
  return lock
}

/** Like `lockFile`, but gives up at once with undefined when somebody else holds the lock. */
export async function tryLockFile(file: string): Promise<AsyncDisposable | undefined> {
  await mkdir(dirname(file), { recursive: true })
  return hold(file, ['--nonblock', '--conflict-exit-code', String(BUSY_STATUS)])
}

async function hold(
  file: string,
  flags: readonly string[],
  signal?: AbortSignal,
): Promise<AsyncDisposable | undefined> {
  signal?.throwIfAborted()
  // In a session of its own, so that Ctrl-C on the terminal does not take the lock away before the work has stopped.
  const child = spawn('flock', [...flags, file, 'sh', '-c', 'echo held; exec cat'], {
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
  })
  child.stdin.on('error', () => {})
  let complaint = ''
  child.stderr.on('data', (text: Buffer) => {
    complaint += text.toString()
  })
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  }).catch((cause: unknown) => {
    throw new BootwrightError(
      'TOOL_MISSING',
      'Cannot start flock, which keeps two processes from doing one work twice',
      {
        cause,
        hint: 'Install util-linux.',
      },
    )
  })
  const abort = (): void => {
    child.kill('SIGKILL')
  }
  signal?.addEventListener('abort', abort, { once: true })
  try {
    const status = await Promise.race([once(child.stdout, 'data').then(() => 'held' as const), ended])
    if (status === 'held') {
      return {
        async [Symbol.asyncDispose]() {
          child.stdin.end()
          await ended
        },
      }
    }
    signal?.throwIfAborted()
    if (status === BUSY_STATUS) return undefined
    throw new BootwrightError('TOOL_FAILED', `Cannot lock ${file}: ${complaint.trim() || `flock ended with ${status}`}`)
  } finally {
    signal?.removeEventListener('abort', abort)
  }
}
