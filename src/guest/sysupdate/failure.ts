import { BootwrightError } from '../../system/index.ts'
import { errnoText, ToolFailure } from '../tool-failure.ts'
import type { ToolOutput } from '../tool-output.ts'

/** Tells why something failed; what is no failure but a fault of ours is thrown on. */
export function tellFailure(error: unknown, output: ToolOutput): void {
  // How far it came may stand in the last line.
  if (output.isTerminal) output.error('\r\x1b[K')
  if (error instanceof ToolFailure || error instanceof BootwrightError) output.log('error', error.message)
  else if (isSystemCall(error)) {
    output.log('error', `Failed to ${error.syscall} '${error.path ?? ''}': ${errnoText(error)}`)
  } else throw error
}

function isSystemCall(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'syscall' in error
}
