import type { ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import type { Options } from 'execa'
import { BootwrightError } from './error.ts'

/** An outside program and how to start it. Arguments are an array: there is no shell and nothing to quote. */
export interface Command {
  readonly argv: readonly string[]
  /** The program's name for messages, where `argv` begins with what it is started by. */
  readonly name?: string
  readonly cwd?: string
  /** Added to this process's own environment. */
  readonly env?: Readonly<Record<string, string>>
}

export interface RunOptions {
  readonly signal?: AbortSignal | undefined
  readonly timeoutMs?: number
  /** Bytes for standard input; without them it is closed. */
  readonly input?: string | Uint8Array
  /**
   * Ends, with the command, everything that it has started: when it is over, at `signal`, and when this process dies,
   * `kill -9` included. For programs that start others and do not see to it themselves; goes without `input`.
   */
  readonly withDescendants?: boolean
  /** Called with each line of standard output and standard error as it comes. */
  readonly onLine?: (line: string) => void
}

export interface RunResult {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
  readonly durationMs: number
}

const LIFELINE = join(import.meta.dirname, 'lifeline.sh')

const MAX_OUTPUT_BYTES = 64 * 1024 * 1024

/** Runs a command to its end and returns its result whatever the exit status; rejects only if it cannot be started. */
export async function runUnchecked(command: Command, options: RunOptions = {}): Promise<RunResult> {
  if (command.argv[0] === undefined) throw new BootwrightError('BUG', 'A command needs at least a program name')
  const hasLifeline = options.withDescendants === true
  const [file = '', ...args] = hasLifeline ? ['sh', LIFELINE, ...command.argv] : command.argv
  // Programs that start no other, as most calls of a guest tool, do not wait for it to load.
  const { execa } = await import('execa')
  options.signal?.throwIfAborted()
  const started = performance.now()
  const execaOptions = {
    ...(command.cwd === undefined ? {} : { cwd: command.cwd }),
    ...(command.env === undefined ? {} : { env: command.env }),
    ...(options.signal === undefined || hasLifeline ? {} : { cancelSignal: options.signal }),
    ...(options.timeoutMs === undefined ? {} : { timeout: options.timeoutMs }),
    ...(options.input === undefined ? { stdin: hasLifeline ? 'pipe' : 'ignore' } : { input: options.input }),
    detached: hasLifeline,
    // Both streams as one, in the order of arrival, for those who follow the lines.
    all: options.onLine !== undefined,
    reject: false,
    maxBuffer: MAX_OUTPUT_BYTES,
    forceKillAfterDelay: 5_000,
    stripFinalNewline: false,
  } satisfies Options
  const child = execa(file, args, execaOptions)
  if (options.onLine !== undefined) void forwardLines(child, options.onLine)
  if (hasLifeline) holdLifeline(child.nodeChildProcess, options.signal)
  const result = await child
  options.signal?.throwIfAborted()
  if (result.timedOut) {
    throw new BootwrightError('TIMED_OUT', `${describe(command)} did not end within ${options.timeoutMs} ms`)
  }
  if (result.exitCode === undefined) {
    const isMissing = (result as { code?: string }).code === 'ENOENT'
    throw new BootwrightError(
      isMissing ? 'TOOL_MISSING' : 'TOOL_FAILED',
      isMissing
        ? `Cannot find the program ${file}`
        : `${describe(command)} was ended by ${result.signal ?? 'a failure'}`,
      { cause: result, ...(isMissing ? { hint: 'Run `./bootwright doctor` to see what is missing.' } : {}) },
    )
  }
  return {
    exitCode: result.exitCode,
    stdout: String(result.stdout ?? ''),
    stderr: String(result.stderr ?? ''),
    durationMs: performance.now() - started,
  }
}

/** Lets go of it at the signal, and clears the process group away when the program is over. */
function holdLifeline(child: ChildProcess, signal: AbortSignal | undefined): void {
  const letGo = (): void => {
    child.stdin?.end()
  }
  child.stdin?.on('error', () => undefined)
  signal?.addEventListener('abort', letGo, { once: true })
  // Not at `close`: what was left behind may hold the pipes open.
  child.once('exit', () => {
    signal?.removeEventListener('abort', letGo)
    try {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
    } catch {
      // The group has ended with its leader.
    }
  })
}

/** Runs a command to its end; rejects with `TOOL_FAILED`, its last output and the exact command when it fails. */
export async function run(command: Command, options: RunOptions = {}): Promise<RunResult> {
  const result = await runUnchecked(command, options)
  if (result.exitCode !== 0) {
    const tail = (result.stderr.trim() || result.stdout.trim()).split('\n').slice(-8).join('\n')
    throw new BootwrightError('TOOL_FAILED', `${programName(command)} failed with status ${result.exitCode}: ${tail}`, {
      hint: `To repeat it: ${describe(command)}`,
      detail: { exitCode: result.exitCode },
    })
  }
  return result
}

/** The command as one would type it. */
export function describe(command: Command): string {
  return command.argv.map(quote).join(' ')
}

/** Quotes one word for a POSIX shell. */
export function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
}

function programName(command: Command): string {
  return command.name ?? command.argv[0] ?? ''
}

async function forwardLines(child: AsyncIterable<unknown> | object, onLine: (line: string) => void): Promise<void> {
  try {
    for await (const line of (child as { iterable(o: object): AsyncIterable<unknown> }).iterable({ from: 'all' })) {
      onLine(String(line))
    }
  } catch {
    // The result of the command itself tells what went wrong.
  }
}
