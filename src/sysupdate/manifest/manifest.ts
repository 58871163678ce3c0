import { isUtf8 } from 'node:buffer'
import { BootwrightError } from '../../system/index.ts'
import { printable } from '../payload/index.ts'

export interface ManifestEntry {
  /** Relative to the manifest: no empty part, no `.` and no `..`. */
  readonly name: string
  /** Of the file as it is served, in lower-case hex. */
  readonly sha256: string
}

/** Of a line: 64 digits, two separators and at least one byte of name. */
const SHORTEST_LINE = 67
const HASH_DIGITS = 64
const HASH_BYTES = 32
/** A release of a hundred thousand files has some ten. */
export const MAX_MANIFEST_BYTES = 16 * 1024 * 1024

const [LF, SPACE, ASTERISK, BACKSLASH] = [10, 32, 42, 92]

/**
 * Reads a `SHA256SUMS` file as sha256sum(1) writes it, as strictly as systemd-sysupdate(8) does: every line has its
 * line feed, names stay below the manifest, and nothing is escaped, neither `\n` nor `%2e`. An empty file lists nothing.
 *
 * A name that is listed again with the same hash counts once. Rejects with `MALFORMED_INPUT` and the number of the line.
 */
export function parseManifest(bytes: Uint8Array): readonly ManifestEntry[] {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (buffer.byteLength > MAX_MANIFEST_BYTES) {
    throw refused(`Manifest has ${buffer.byteLength} bytes, expected at most ${MAX_MANIFEST_BYTES}, refusing.`, 1, 0)
  }
  const nul = buffer.indexOf(0)
  if (nul !== -1) throw refused(`Manifest contains a NUL byte at offset ${nul}, refusing.`, lineAt(buffer, nul), nul)
  if (!isUtf8(buffer)) throw refused('Manifest is not valid UTF-8, refusing.', 1, 0)
  const entries = new Map<string, ManifestEntry>()
  for (let start = 0, line = 1; start < buffer.byteLength; line++) {
    const end = buffer.indexOf(LF, start)
    const entry = readLine(buffer.subarray(start, end === -1 ? buffer.byteLength : end), line, start)
    if (end === -1) throw refused(`Manifest line ${line} does not end in a line feed, refusing.`, line, start)
    const known = entries.get(entry.name)
    if (known !== undefined && known.sha256 !== entry.sha256) {
      throw refused(
        `Manifest lists "${printable(entry.name)}" again at line ${line}, with another hash, refusing.`,
        line,
        start,
      )
    }
    if (known === undefined) entries.set(entry.name, entry)
    start = end + 1
  }
  return [...entries.values()]
}

function readLine(text: Buffer, line: number, offset: number): ManifestEntry {
  if (text[0] === BACKSLASH) {
    throw refused(`Manifest line ${line} has an escaped filename, which is not supported, refusing.`, line, offset)
  }
  const sha256 = readHash(text.subarray(0, HASH_DIGITS), line, offset)
  if (text.byteLength < SHORTEST_LINE) throw refused(`Manifest line ${line} is too short, refusing.`, line, offset)
  if (text[HASH_DIGITS] !== SPACE) {
    throw refused(`Manifest line ${line} has no space behind its hash, refusing.`, line, offset + HASH_DIGITS)
  }
  const kind = text[HASH_DIGITS + 1]
  if (kind !== SPACE && kind !== ASTERISK) {
    throw refused(
      `Manifest line ${line} has neither a space nor an asterisk in front of its name, refusing.`,
      line,
      offset + HASH_DIGITS + 1,
    )
  }
  const name = text.toString('utf8', HASH_DIGITS + 2)
  const problem = nameProblem(name)
  if (problem !== undefined) {
    throw refused(
      `Invalid filename at manifest line ${line}, "${printable(name)}" ${problem}, refusing.`,
      line,
      offset + HASH_DIGITS + 2,
    )
  }
  return { name, sha256 }
}

function readHash(text: Buffer, line: number, offset: number): string {
  // White space counts for nothing in systemd's reader of hexadecimal digits; so a hash may be too short.
  const digits = text.toString('latin1').replaceAll(/[ \t\r]/g, '')
  if (!/^(?:[0-9a-fA-F]{2})*$/.test(digits)) {
    throw refused(`Manifest line ${line} does not begin with a hash of hexadecimal digits, refusing.`, line, offset)
  }
  const decoded = digits.length / 2
  if (decoded !== HASH_BYTES) {
    throw refused(`Manifest hash at line ${line} decoded to ${decoded} bytes, refusing.`, line, offset)
  }
  return digits.toLowerCase()
}

/** What is wrong with a name that is to be requested below an address, and written below a directory. */
function nameProblem(name: string): string | undefined {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  if (/[\u0000-\u001f\u007f-\u009f]/.test(name)) return 'contains a control character'
  if (name.startsWith('/')) return 'is absolute'
  if (name.includes('%')) return 'contains a percent sign'
  const parts = name.split('/')
  if (parts.some((part) => part === '' || part === '.' || part === '..')) return 'is not normalized'
  const longest = Math.max(...parts.map((part) => Buffer.byteLength(part)))
  if (longest > MAX_NAME_BYTES) return `has a part of ${longest} bytes, which no file system takes`
  return undefined
}

/** NAME_MAX of Linux. */
const MAX_NAME_BYTES = 255

function lineAt(buffer: Buffer, offset: number): number {
  let line = 1
  for (let at = buffer.indexOf(LF); at !== -1 && at < offset; at = buffer.indexOf(LF, at + 1)) line++
  return line
}

function refused(message: string, line: number, offset: number): BootwrightError {
  return new BootwrightError('MALFORMED_INPUT', message, {
    hint: 'Make the manifest with sha256sum(1), in the directory that is served, without further options.',
    detail: { line, offset },
  })
}
