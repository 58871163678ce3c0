import { parseBoolean } from './parse-values.ts'

/** What a mark looks like: in UTF-8, and where only ASCII may be written. */
const MARKS = {
  check: ['✓', '+'],
  cross: ['✗', '-'],
  multiplication: ['×', 'x'],
  blackCircle: ['●', '*'],
  whiteCircle: ['○', '*'],
  circleArrow: ['↻', '*'],
  ellipsis: ['…', '...'],
  arrowRight: ['→', '->'],
} as const

const EMOJIS = {
  download: ['⤵️', '\\'],
  recycling: ['♻️', '~'],
  sparkles: ['✨', '*'],
} as const

type Environment = Readonly<Record<string, string | undefined>>

export type Glyphs = Readonly<Record<keyof typeof MARKS | keyof typeof EMOJIS, string>>

/**
 * The marks that systemd's tools would write, by `$SYSTEMD_UTF8`, `$SYSTEMD_EMOJI` (docs/ENVIRONMENT of systemd), `$TERM`
 * and the locale.
 */
export function glyphs(environment: Environment): Glyphs {
  const isUtf8 = hasUtf8(environment)
  const shown = (table: Readonly<Record<string, readonly [string, string]>>, isRich: boolean) =>
    Object.entries(table).map(([name, [rich, plain]]) => [name, isRich ? rich : plain])
  return Object.fromEntries([...shown(MARKS, isUtf8), ...shown(EMOJIS, hasEmojis(environment, isUtf8))]) as Glyphs
}

function hasEmojis({ SYSTEMD_EMOJI, TERM }: Environment, isUtf8: boolean): boolean {
  const asked = SYSTEMD_EMOJI === undefined ? undefined : parseBoolean(SYSTEMD_EMOJI)
  return asked ?? (TERM !== undefined && TERM !== 'dumb' && TERM !== 'linux' && isUtf8)
}

/**
 * A system without any locale is taken to know UTF-8, and so is one with a locale that is not installed: only `C` and `POSIX`,
 * asked for by name, are not.
 */
function hasUtf8({ SYSTEMD_UTF8, LC_ALL, LC_CTYPE, LANG }: Environment): boolean {
  const asked = SYSTEMD_UTF8 === undefined ? undefined : parseBoolean(SYSTEMD_UTF8)
  if (asked !== undefined) return asked
  const isUnset = [LC_ALL, LC_CTYPE, LANG].every((value) => value === undefined)
  return isUnset || !['', 'C', 'POSIX'].includes(LC_ALL || LC_CTYPE || LANG || '')
}
