import { parseBoolean } from './parse-values.ts'

/** How many colours a terminal shows, as systemd tells them apart. */
export type ColorMode = 'off' | '16' | '256' | '24bit'

/**
 * What systemd's tools would use, by `$SYSTEMD_COLORS` (docs/ENVIRONMENT of systemd), `$NO_COLOR` (no-color.org), `$TERM` and
 * `$COLORTERM`.
 *
 * @param isTerminal whether both standard output and standard error are one
 */
export function colorMode(environment: Readonly<Record<string, string | undefined>>, isTerminal: boolean): ColorMode {
  const { SYSTEMD_COLORS: asked = '', NO_COLOR, TERM, COLORTERM = '' } = environment
  const most = ['truecolor', '24bit'].includes(COLORTERM) ? '24bit' : '256'
  const isAsked = parseBoolean(asked)
  if (isAsked !== undefined) return isAsked ? most : 'off'
  const [, automatic, mode] = /^(auto-)?(16|256|24bit)$/.exec(asked) ?? []
  if (mode !== undefined && automatic === undefined) return mode as ColorMode
  if (!isTerminal || TERM === undefined || TERM === 'dumb') return 'off'
  if (mode !== undefined) return mode as ColorMode
  return NO_COLOR === undefined ? most : 'off'
}

/** SGR parameters (ECMA-48) for 16 colours, and those that 256 colours have instead. */
const COLORS = {
  grey: ['0;90', '0;38:5:245'],
  green: ['0;32'],
  highlightRed: ['0;1;31'],
  highlightYellow: ['0;1;33', '0;1;38:5:185'],
  highlightBlue: ['0;1;34'],
} as const

export type Color = keyof typeof COLORS

/** Text in a colour. A terminal that may not know 256 colours is told the plain one first. */
export function colored(text: string, color: Color, mode: ColorMode): string {
  if (mode === 'off') return text
  const [plain, rich]: readonly [string, string?] = COLORS[color]
  const shown = rich === undefined || mode === '16' ? [plain] : mode === '256' ? [plain, rich] : [rich]
  return `${shown.map((parameters) => `\x1b[${parameters}m`).join('')}${text}\x1b[0m`
}
