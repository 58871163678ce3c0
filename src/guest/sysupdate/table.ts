/** A cell: text, or words that may be put on several lines. */
export type Cell = string | readonly string[]

export interface Column {
  readonly title: string
  readonly align?: 'right' | 'center'
}

/** Columns of what no terminal is wide enough for. */
const WIDTH = 80
/** Wide on terminals: what has U+FE0F behind it is shown as an emoji (UAX 11). */
const WIDE = '\ufe0f'

/** Lines of a table as systemd's tools print it where no terminal is; the last column has no blanks behind it. */
export function formatTable(
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
  options: { readonly hasHeader: boolean },
): string {
  const shown = rows.map((row) => row.map((cell) => (typeof cell === 'string' ? [cell] : cell)))
  const widths: number[] = []
  for (const [at, { title }] of columns.entries()) {
    const before = widths.reduce((sum, width) => sum + width + 1, 0)
    const longest = widest(shown, at)
    // A link cannot be broken, and one of them may be wider than the rest of the line.
    for (const row of shown) row[at] = wrapped(row[at] ?? [], Math.max(WIDTH - before, longest))
    widths.push(Math.max(1, options.hasHeader ? widthOf(title) : 0, widest(shown, at)))
  }
  const all = options.hasHeader ? [columns.map(({ title }) => [title]), ...shown] : shown
  return all.map((row) => rowLines(columns, widths, row)).join('')
}

function widest(rows: readonly (readonly (readonly string[])[])[], at: number): number {
  let most = 0
  for (const row of rows) for (const text of row[at] ?? []) most = Math.max(most, widthOf(text))
  return most
}

function rowLines(columns: readonly Column[], widths: readonly number[], row: readonly (readonly string[])[]): string {
  const height = Math.max(1, ...row.map((lines) => lines.length))
  return Array.from({ length: height }, (_, line) => {
    const cells = columns.map(({ align }, at) => {
      const text = row[at]?.[line] ?? ''
      const space = (widths[at] ?? 0) - widthOf(text)
      const blanks = ' '.repeat(space)
      if (align === 'right') return `${blanks}${text}`
      if (align === 'center') return `${' '.repeat(Math.floor(space / 2))}${text}${' '.repeat(Math.ceil(space / 2))}`
      return at === columns.length - 1 ? text : `${text}${blanks}`
    })
    return `${cells.join(' ')}\n`
  }).join('')
}

function wrapped(words: readonly string[], width: number): string[] {
  const lines: string[] = []
  for (const word of words) {
    const last = lines.at(-1)
    if (last !== undefined && widthOf(last) + 1 + widthOf(word) <= width) lines[lines.length - 1] = `${last} ${word}`
    else lines.push(word)
  }
  return lines
}

function widthOf(text: string): number {
  if (/^[ -~]*$/.test(text)) return text.length
  return [...text.normalize('NFC')].reduce((sum, character) => sum + (isMark(character) ? 0 : 1), 0) + emojis(text)
}

function isMark(character: string): boolean {
  return /\p{Mn}/u.test(character)
}

function emojis(text: string): number {
  return text.split(WIDE).length - 1
}
