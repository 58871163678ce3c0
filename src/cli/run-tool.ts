import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'

export interface ToolOptions {
  readonly cwd: string
  readonly signal: AbortSignal
  readonly env?: Readonly<Record<string, string>>
  /**
   * Whose the output is: `kept` returns it, `shown` gives the tool our terminal, `copied` shows it line by line while a
   * terminal belongs to somebody else.
   */
  readonly output: 'kept' | 'shown' | 'copied'
}

/** Runs a tool with the Node that runs us, whatever the host's is. */
export async function runTool(
  file: string,
  args: readonly string[],
  options: ToolOptions,
): Promise<{ exitCode: number; output: string }> {
  const stream = options.output === 'shown' ? 'inherit' : 'pipe'
  const child = spawn(file, args, {
    cwd: options.cwd,
    env: { ...process.env, ...options.env, PATH: `${join(process.execPath, '..')}:${process.env.PATH ?? ''}` },
    stdio: ['ignore', stream, stream],
    signal: options.signal,
    killSignal: 'SIGTERM',
  })
  let output = ''
  const take = (chunk: Buffer) => {
    if (options.output === 'copied') process.stdout.write(chunk)
    else output += chunk.toString()
  }
  child.stdout?.on('data', take)
  child.stderr?.on('data', take)
  const [exitCode] = (await once(child, 'close').catch((error: unknown) => {
    options.signal.throwIfAborted()
    throw error
  })) as [number | null]
  return { exitCode: exitCode ?? 1, output }
}
