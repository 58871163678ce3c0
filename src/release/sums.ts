import { BootwrightError } from '../system/index.ts'

/** A line of `SHA256SUMS`. */
export interface Sum {
  readonly name: string
  /** 64 lower-case hexadecimal digits. */
  readonly sha256: string
}

/** As sha256sum(1) writes it, sorted by name: binary mode, each line with its end. */
export function formatSums(sums: readonly Sum[]): string {
  const sorted = [...sums].sort((a, b) => (a.name < b.name ? -1 : 1))
  return sorted.map(({ name, sha256 }) => `${sha256} *${name}\n`).join('')
}

/** What {@link formatSums} wrote; rejects with `INVALID_ARGUMENT` for anything else. */
export function parseSums(text: string, where: string): Sum[] {
  return text
    .split('\n')
    .slice(0, -1)
    .map((line, index) => {
      const match = /^([0-9a-f]{64}) [ *]([A-Za-z0-9][\w.~^+-]*)$/.exec(line)
      if (match === null || !text.endsWith('\n')) {
        throw new BootwrightError('INVALID_ARGUMENT', `Line ${index + 1} of ${where} is none of ours`, {
          hint: 'Publish into a directory of its own.',
        })
      }
      const [, sha256 = '', name = ''] = match
      return { name, sha256 }
    })
}
