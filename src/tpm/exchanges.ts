import { BootwrightError } from '../system/index.ts'

/** A command that a TPM was given, and what it answered. */
export interface TpmExchange {
  readonly command: Buffer
  readonly response: Buffer
  /** The locality that the command came from. */
  readonly locality: number
}

/** How a dump begins in the log: who says it, and how many bytes follow, sixteen a line. */
const DUMP = /^ (SWTPM_IO_Read|SWTPM_IO_Write|Ctrl Cmd|Ctrl Rsp): length (\d+)$/
const BYTES = /^(?: [0-9A-F]{2})+ ?$/
/** swtpm_ioctls(3), CMD_SET_LOCALITY: the code, then a byte. */
const CMD_SET_LOCALITY = 5

/**
 * Reads what swtpm logs of its commands (`--log level=20`). What the end of the log has only in part was still being
 * written, and is left out; a dump that is broken off elsewhere is `MALFORMED_INPUT`.
 */
export function parseTpmExchanges(log: string): TpmExchange[] {
  const exchanges: TpmExchange[] = []
  let command: Buffer | undefined
  let locality = 0
  for (const { by, bytes } of dumps(log)) {
    if (by === 'SWTPM_IO_Read') command = bytes
    else if (by === 'SWTPM_IO_Write' && command !== undefined) {
      exchanges.push({ command, response: bytes, locality })
      command = undefined
    } else if (by === 'Ctrl Cmd' && bytes.length >= 5 && bytes.readUInt32BE(0) === CMD_SET_LOCALITY) {
      locality = bytes.readUInt8(4)
    }
  }
  return exchanges
}

function* dumps(log: string): Generator<{ by: string; bytes: Buffer }> {
  const lines = log.split('\n')
  // What stands behind the last line feed is no line yet.
  lines.pop()
  for (let index = 0; index < lines.length; index++) {
    const [, by, length] = DUMP.exec(lines[index] ?? '') ?? []
    if (by === undefined) continue
    const start = index
    const hex: string[] = []
    const wanted = Number(length)
    const count = Math.ceil(wanted / 16)
    while (hex.length < count && BYTES.test(lines[index + 1] ?? '')) hex.push(lines[++index] ?? '')
    const bytes = Buffer.from(hex.join('').replaceAll(' ', ''), 'hex')
    if (bytes.length === wanted) yield { by, bytes }
    else if (index + 1 < lines.length) {
      throw new BootwrightError(
        'MALFORMED_INPUT',
        `Cannot read the log of the TPM: line ${start + 1} tells of ${wanted} bytes, ${bytes.length} follow`,
        { hint: 'The log is cut, or was written with another level than 20.' },
      )
    }
  }
}
