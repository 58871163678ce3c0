/** Sets of characters that have a name (glob(7)). */
const CLASSES: Readonly<Record<string, string>> = {
  alnum: 'A-Za-z0-9',
  alpha: 'A-Za-z',
  blank: ' \\t',
  cntrl: '\\x00-\\x1f\\x7f',
  digit: '0-9',
  graph: '!-~',
  lower: 'a-z',
  print: ' -~',
  punct: '!-/:-@\\[-`{-~',
  space: '\\s',
  upper: 'A-Z',
  xdigit: '0-9A-Fa-f',
}

/** Whether a text is as a pattern of stars, question marks, sets and backslashes says; a slash is like any other (fnmatch(3)). */
export function fitsGlob(text: string, glob: string, options: { readonly ignoresCase?: boolean } = {}): boolean {
  const pattern = glob.replaceAll(/\\[\s\S]|\[!?\]?(?:\[:\w+:\]|\\[\s\S]|[^\]])*\]|[\s\S]/g, (piece) => {
    if (piece === '*') return '.*'
    if (piece === '?') return '.'
    if (piece.startsWith('\\')) return literal(piece.slice(1) || piece)
    return piece.length > 1 ? setOf(piece) : literal(piece)
  })
  return new RegExp(`^${pattern}$`, options.ignoresCase === true ? 'is' : 's').test(text)
}

function setOf(piece: string): string {
  const isNegated = /^\[[!^]/.test(piece)
  const inside = piece
    .slice(isNegated ? 2 : 1, -1)
    .replaceAll(/\[:(\w+):\]|\\([\s\S])|[\][^\\]/g, (part, name?: string, escaped?: string) => {
      if (name !== undefined) return CLASSES[name] ?? ''
      return `\\${escaped ?? part}`
    })
  return `[${isNegated ? '^' : ''}${inside}]`
}

function literal(character: string): string {
  return character.replaceAll(/[$()*+.?[\\\]^{|}]/g, '\\$&')
}
