/**
 * The guest tools as one program: it is whichever tool it is called as, by its own name or that of a link to it. Under
 * any other name, its first argument names the tool.
 */
import { basename } from 'node:path'
import { processOutput } from './tool-output.ts'
import { guestTool, isGuestTool } from './tools.ts'

const called = basename(process.argv0)
const [first = '', ...rest] = process.argv.slice(2)
const [name, argv] = isGuestTool(called) ? [called, process.argv.slice(2)] : [first, rest]

async function main(): Promise<number> {
  return guestTool(name)(argv, processOutput())
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
