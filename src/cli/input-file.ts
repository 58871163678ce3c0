import { readFile, stat } from 'node:fs/promises'
import { BootwrightError } from '../system/index.ts'

/** Logs are a hundred kilobytes or less; 100,000 records in four banks are some 20 MB. */
const MAX_INPUT_BYTES = 256 * 1024 * 1024

/** A file that the user has named. `INVALID_ARGUMENT` when there is none, `MALFORMED_INPUT` when it is too large. */
export async function readInput(file: string): Promise<{ bytes: Buffer; mode: number }> {
  try {
    const { size, mode } = await stat(file)
    if (size > MAX_INPUT_BYTES) {
      throw new BootwrightError('MALFORMED_INPUT', `${file} has ${size} bytes, expected at most ${MAX_INPUT_BYTES}`)
    }
    return { bytes: await readFile(file), mode }
  } catch (cause) {
    const problem = { ENOENT: 'there is no such file', EISDIR: 'it is a directory' }[
      (cause as NodeJS.ErrnoException).code ?? ''
    ]
    if (problem === undefined) throw cause
    throw new BootwrightError('INVALID_ARGUMENT', `Cannot read ${file}: ${problem}`, { cause, hint: 'Name a file.' })
  }
}
