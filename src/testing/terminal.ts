import { openSync } from 'node:fs'
import { ReadStream, WriteStream } from 'node:tty'
import { BootwrightError } from '../system/index.ts'

/** The terminal that the tests were started from. Vitest's workers have none of their own on standard input. */
export interface Terminal extends Disposable {
  readonly input: ReadStream
  say(text: string): void
}

/** Opens it; rejects with `HOST_UNSUITABLE` where there is none, as in CI. */
export function openTerminal(): Terminal {
  let input: ReadStream
  let output: WriteStream
  try {
    input = new ReadStream(openSync('/dev/tty', 'r'))
    output = new WriteStream(openSync('/dev/tty', 'w'))
  } catch (cause) {
    throw new BootwrightError('HOST_UNSUITABLE', 'There is no terminal to stay on: --sit and --debug need one', {
      cause,
      hint: 'Leave them out where nobody watches; --keep keeps the evidence.',
    })
  }
  return {
    input,
    // The terminal is raw while the machine has it.
    say: (text) => void output.write(text.replaceAll(/(?<!\r)\n/g, '\r\n')),
    [Symbol.dispose]() {
      if (input.isRaw) input.setRawMode(false)
      input.destroy()
      output.destroy()
    },
  }
}
