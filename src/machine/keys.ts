import { BootwrightError } from '../system/index.ts'

/** Names that people use, for QEMU's (QKeyCode). */
const ALIASES: Readonly<Record<string, string>> = {
  control: 'ctrl',
  enter: 'ret',
  return: 'ret',
  escape: 'esc',
  space: 'spc',
  del: 'delete',
  ins: 'insert',
  super: 'meta_l',
  win: 'meta_l',
  pageup: 'pgup',
  pagedown: 'pgdn',
  arrowup: 'up',
  arrowdown: 'down',
  arrowleft: 'left',
  arrowright: 'right',
}

/** Characters that a key gives by itself, and with shift, on a keyboard of the United States. */
const PUNCTUATION: readonly (readonly [key: string, plain: string, shifted: string])[] = [
  ['grave_accent', '`', '~'],
  ['minus', '-', '_'],
  ['equal', '=', '+'],
  ['bracket_left', '[', '{'],
  ['bracket_right', ']', '}'],
  ['backslash', '\\', '|'],
  ['semicolon', ';', ':'],
  ['apostrophe', "'", '"'],
  ['comma', ',', '<'],
  ['dot', '.', '>'],
  ['slash', '/', '?'],
  ['1', '1', '!'],
  ['2', '2', '@'],
  ['3', '3', '#'],
  ['4', '4', '$'],
  ['5', '5', '%'],
  ['6', '6', '^'],
  ['7', '7', '&'],
  ['8', '8', '*'],
  ['9', '9', '('],
  ['0', '0', ')'],
  ['spc', ' ', ' '],
  ['ret', '\n', '\n'],
  ['tab', '\t', '\t'],
]

const KEYS_OF = new Map<string, readonly string[]>([
  ...PUNCTUATION.map(([key, , shifted]): [string, string[]] => [shifted, ['shift', key]]),
  // After the shifted ones: a blank is one without shift as well.
  ...PUNCTUATION.map(([key, plain]): [string, string[]] => [plain, [key]]),
  ...[...'abcdefghijklmnopqrstuvwxyz'].flatMap((letter): [string, string[]][] => [
    [letter, [letter]],
    [letter.toUpperCase(), ['shift', letter]],
  ]),
])

/** All that {@link keysFor} knows. */
export const TYPEABLE = [...KEYS_OF.keys()].join('')

/** A hint for those who guess. */
export const KEY_NAMES =
  "The names are QEMU's: a-z, 0-9, f1-f12, ret, esc, tab, spc, up, down, minus, dot, ctrl, alt, shift, …"

/** The keys to press together for a character; rejects others with `INVALID_ARGUMENT`. */
export function keysFor(character: string): readonly string[] {
  const keys = KEYS_OF.get(character)
  if (keys !== undefined) return keys
  throw new BootwrightError('INVALID_ARGUMENT', `Cannot type ${JSON.stringify(character)} on a US keyboard`, {
    hint: 'Printable ASCII, a tab and a newline can be typed; use sendKey for others, or console.write.',
  })
}

/** QEMU's names for keys written together, as `ctrl-alt-delete`. */
export function parseKeys(text: string): string[] {
  const keys = text.toLowerCase().split('-')
  const wrong = keys.find((key) => !/^[a-z0-9_]+$/.test(key))
  if (wrong === undefined) return keys.map((key) => ALIASES[key] ?? key)
  throw new BootwrightError('INVALID_ARGUMENT', `Expected keys like "ctrl-alt-delete", found ${JSON.stringify(text)}`, {
    hint: KEY_NAMES,
  })
}
