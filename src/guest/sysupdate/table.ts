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
  const shown = rows.map((row) => [...row])
  const widths: number[] = []
  let before = 0
  for (const [at, { title }] of columns.entries()) {
    const longest = widest(shown, at)
    // A link cannot be broken, and one of them may be wider than the rest of the line.
    if (wrapColumn(shown, at, Math.max(WIDTH - before, longest))) widths.push(widest(shown, at))
    else widths.push(longest)
    widths[at] = Math.max(1, options.hasHeader ? widthOf(title) : 0, widths[at] ?? 0)
    before += (widths[at] ?? 0) + 1
  }
  const all = options.hasHeader ? [columns.map(({ title }) => title), ...shown] : shown
  return all.map((row) => rowLines(columns, widths, row)).join('')
}

/** Whether there was anything to put on several lines. */
function wrapColumn(rows: readonly Cell[][], at: number, width: number): boolean {
  let hasWrapped = false
  for (const row of rows) {
    const cell = row[at]
    if (cell === undefined || typeof cell === 'string') continue
    row[at] = wrapped(cell, width)
    hasWrapped = true
  }
  return hasWrapped
}

function widest(rows: readonly (readonly Cell[])[], at: number): number {
  let most = 0
  for (const row of rows) {
    const cell = row[at] ?? ''
    if (typeof cell === 'string') most = Math.max(most, widthOf(cell))
    else for (const line of cell) most = Math.max(most, widthOf(line))
  }
  return most
}

function rowLines(columns: readonly Column[], widths: readonly number[], row: readonly Cell[]): string {
  let lines = ''
  let height = 1
  for (let line = 0; line < height; line++) {
    for (const [at, { align }] of columns.entries()) {
      const cell = row[at] ?? ''
      const isText = typeof cell === 'string'
      if (!isText) height = Math.max(height, cell.length)
      const text = (isText ? (line === 0 ? cell : undefined) : cell[line]) ?? ''
      const space = (widths[at] ?? 0) - widthOf(text)
      const isLast = at === columns.length - 1
      const left = align === 'right' ? space : align === 'center' ? Math.floor(space / 2) : 0
      const right = isLast && align === undefined ? 0 : space - left
      lines += `${' '.repeat(left)}${text}${' '.repeat(right)}${isLast ? '\n' : ' '}`
    }
  }
  return lines
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
  if (!/[^ -~]/.test(text)) return text.length
  return [...text.normalize('NFC')].reduce((sum, character) => sum + (isMark(character) ? 0 : 1), 0) + emojis(text)
}

function isMark(character: string): boolean {
  return /\p{Mn}/u.test(character)
}

function emojis(text: string): number {
  return text.split(WIDE).length - 1
}
