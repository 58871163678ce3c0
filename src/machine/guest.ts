import { BootwrightError } from '../system/index.ts'
import type { GuestResult, GuestRunOptions } from './channel.ts'
import { describeExit } from './guest-exit.ts'
import type { GuestProcess } from './guest-process.ts'

export interface CommandOutput {
  readonly stdout: string
  readonly stderr: string
}

/** What can be done in a guest through its channel; all that the other verbs are made of. */
export interface Guest {
  run(argv: readonly string[], options?: GuestRunOptions): Promise<CommandOutput>
  runUnchecked(argv: readonly string[], options?: GuestRunOptions): Promise<GuestResult>
  spawn(argv: readonly string[], options?: { signal?: AbortSignal | undefined }): Promise<GuestProcess>
  readFile(path: string): Promise<Buffer>
  writeFile(path: string, bytes: string | Uint8Array, mode?: number): Promise<void>
}

export interface WaitOptions {
  readonly signal?: AbortSignal | undefined
  /** So long may nothing move before the wait is given up with `BOOT_STALLED`. */
  readonly idleMs?: number
}

/** The output of a command that has succeeded; throws `GUEST_COMMAND_FAILED` for another. */
export function checkedOutput(argv: readonly string[], result: GuestResult): CommandOutput {
  const { exitCode, stdout, stderr } = result
  if (exitCode === 0) return { stdout: stdout.toString(), stderr: stderr.toString() }
  const said = (stderr.toString().trim() || stdout.toString().trim()).split('\n').slice(-5).join('\n')
  throw new BootwrightError(
    'GUEST_COMMAND_FAILED',
    `${argv.join(' ')} failed in the guest with ${describeExit(result)}: ${said}`,
    { detail: { exitCode } },
  )
}
