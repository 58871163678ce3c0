/**
 * Draws what `bootwright verify` printed at the end of a run, as an SVG picture of a terminal, for README.md:
 *
 *   node scripts/terminal-picture.ts out/runs/ID/report.json > docs/verify.svg
 */
import { readFileSync } from 'node:fs'
import { type RunReport, terminalSummary } from '../src/report/index.ts'

/** Pixels. Fonts for code are 0.6 em wide, or a little less; each piece of a line is placed by its column. */
const FONT_SIZE = 14
const COLUMN = FONT_SIZE * 0.6
const LINE = 20
const MARGIN = 18
const BAR = 30

/** The picture has its own background, so that it reads the same on light and dark pages. */
const STYLE = [
  `text{font:${FONT_SIZE}px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;fill:#e6edf3}`,
  '.bold{font-weight:bold}.dim{fill:#9aa4af}.red{fill:#ff7b72}.green{fill:#56d364}.yellow{fill:#e3b341}',
].join('')

/** Select Graphic Rendition (ECMA-48, 8.3.117): the parameters that styleText() writes. */
const CLASSES: Readonly<Record<string, string>> = { 1: 'bold', 2: 'dim', 31: 'red', 32: 'green', 33: 'yellow' }

interface Piece {
  readonly column: number
  readonly text: string
  readonly className: string
}

/** The terminal after a command has printed `output`, which may be coloured. */
export function terminalPicture(command: string, output: string): string {
  const lines = [`\x1b[1m$ ${command}\x1b[22m`, ...output.replace(/\n+$/, '').split('\n')].map(pieces)
  const columns = Math.max(...lines.flat().map(({ column, text }) => column + text.length))
  const width = Math.ceil(columns * COLUMN + 2 * MARGIN)
  const height = BAR + lines.length * LINE + MARGIN
  const dots = ['#ff5f57', '#febc2e', '#28c840'].map(
    (color, index) => `<circle cx="${MARGIN + 5 + index * 18}" cy="${BAR / 2 + 2}" r="5" fill="${color}"/>`,
  )
  const texts = lines.flatMap((line, row) => line.map((piece) => drawn(piece, BAR + row * LINE + FONT_SIZE)))
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img">`,
    `<title>${xml(`Terminal: ${command}`)}</title>`,
    `<style>${STYLE}</style>`,
    `<rect x=".5" y=".5" width="${width - 1}" height="${height - 1}" rx="8" fill="#0d1117" stroke="#444c56"/>`,
    ...dots,
    ...texts,
    '</svg>',
    '',
  ].join('\n')
}

/** Splits a line where its colour changes and where blanks align something. */
function pieces(line: string): Piece[] {
  const found: Piece[] = []
  let column = 0
  let className = ''
  // biome-ignore lint/suspicious/noControlCharactersInRegex: terminal colours begin with one
  for (const [whole, parameter] of line.matchAll(/\x1b\[(\d+)m|[^ \x1b]+(?: [^ \x1b]+)*| +/g)) {
    if (parameter !== undefined) {
      className = CLASSES[parameter] ?? ''
      continue
    }
    if (whole.trim() !== '') found.push({ column, text: whole, className })
    column += whole.length
  }
  return found
}

function drawn({ column, text, className }: Piece, y: number): string {
  const x = Number((MARGIN + column * COLUMN).toFixed(1))
  return `<text x="${x}" y="${y}"${className === '' ? '' : ` class="${className}"`}>${xml(text)}</text>`
}

function xml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll(/\p{Cc}/gu, '\uFFFD')
}

if (import.meta.main) {
  const [path] = process.argv.slice(2)
  if (path === undefined) {
    process.stderr.write('usage: node scripts/terminal-picture.ts REPORT\n')
    process.exit(2)
  }
  const report = JSON.parse(readFileSync(path, 'utf8')) as RunReport
  // As the command line prints it in the checkout; the file has the absolute path.
  const shown = { ...report, run: { ...report.run, directory: `out/runs/${report.run.id}` } }
  process.stdout.write(terminalPicture(report.run.command, terminalSummary(shown, { isColored: true })))
}
