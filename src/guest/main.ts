/**
 * The guest tools as one program: it is whichever tool it is called as, by its own name or that of a link to it. Under
 * any other name, its first argument names the tool.
 */
import { writeFileSync } from 'node:fs'
import { basename } from 'node:path'
import { processOutput } from './tool-output.ts'
import { guestTool, isGuestTool } from './tools.ts'

const called = basename(process.argv0)
const [first = '', ...rest] = process.argv.slice(2)
const [name, argv] = isGuestTool(called) ? [called, process.argv.slice(2)] : [first, rest]

async function main(): Promise<number> {
  bearName()
  return guestTool(name)(argv, processOutput())
}

/** Node calls its main thread something else; ps and the journal are to show the tool. */
function bearName(): void {
  try {
    writeFileSync('/proc/self/comm', name)
  } catch {
    // It is only a name.
  }
}

main().then(
  (status) => {
    process.exitCode = status
  },
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
    process.exitCode = 1
  },
)
