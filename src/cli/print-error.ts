import { styleText } from 'node:util'
import { BootwrightError } from '../system/index.ts'

/** Message and hint; the stack only for bugs and where it was asked for. */
export function printError(error: unknown, options: { withStack: boolean }): void {
  const isOurs = error instanceof BootwrightError
  const message = error instanceof Error ? error.message : String(error)
  const label = styleText('red', isOurs ? 'error' : 'bug', { stream: process.stderr })
  process.stderr.write(`${label}: ${message}\n`)
  if (isOurs && error.hint !== undefined) {
    process.stderr.write(`${styleText('cyan', 'hint', { stream: process.stderr })}: ${error.hint}\n`)
  }
  if (!isOurs) process.stderr.write('This is a fault of Bootwright: please report it with what is printed here.\n')
  for (let shown = error; shown instanceof Error && (options.withStack || !isOurs); shown = shown.cause) {
    process.stderr.write(`${shown.stack ?? shown.message}\n`)
  }
}
