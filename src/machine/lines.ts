import type { Readable } from 'node:stream'
import { BootwrightError } from '../system/index.ts'

const NEWLINE = 0x0a

/** Whole lines of a stream, without their ends; the last one counts even when it does not end. Rejects as the stream does. */
export async function* linesOf(stream: Readable, maxBytes = 16 * 1024 * 1024): AsyncGenerator<Buffer, void, undefined> {
  let pieces: Buffer[] = []
  let length = 0
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    let rest = chunk
    for (let end = rest.indexOf(NEWLINE); end >= 0; end = rest.indexOf(NEWLINE)) {
      yield Buffer.concat([...pieces, rest.subarray(0, end)])
      pieces = []
      length = 0
      rest = rest.subarray(end + 1)
    }
    pieces.push(rest)
    length += rest.length
    if (length > maxBytes) {
      throw new BootwrightError('MALFORMED_INPUT', `Expected lines of at most ${maxBytes} bytes from the guest`)
    }
  }
  if (length > 0) yield Buffer.concat(pieces)
}

/** The end of all that a stream says, at most so many characters, when it has said it. Empty for one that broke. */
export async function lastWords(stream: Readable, count: number): Promise<string> {
  let said = ''
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) said = (said + chunk.toString()).slice(-count)
  } catch {
    // What was waited for tells why.
  }
  return said
}
