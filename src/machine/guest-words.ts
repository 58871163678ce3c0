import { BootwrightError, quote } from '../system/index.ts'

/** A command for the guest's shell. */
export function commandLine(argv: readonly string[]): string {
  if (argv.length === 0) {
    throw new BootwrightError('INVALID_ARGUMENT', 'Expected a command to run in the guest, found none')
  }
  return argv.map(word).join(' ')
}

/** A word for the guest's shell. A request is one line, so a newline is written as a variable's content. */
export function word(text: string): string {
  if (text.includes('\0'))
    throw new BootwrightError('INVALID_ARGUMENT', 'An argument of a guest command contains a NUL byte')
  if (!text.includes('\n')) return quote(text)
  return text
    .split('\n')
    .map((part) => (part === '' ? '' : quote(part)))
    .join('"$nl"')
}
