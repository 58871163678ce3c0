/** What a specifier letter stands for; undefined when it cannot be told. */
export type Specifiers = (letter: string) => string | undefined

const LETTER = /[A-Za-z0-9%]/

/**
 * Expands `%` specifiers (sysupdate.d(5), Specifiers). Undefined when one is not known, cannot be told, or the result has
 * more than `maxBytes`. A `%` before anything but letters and digits stands for itself.
 */
export function expandSpecifiers(text: string, specifiers: Specifiers, maxBytes = 4095): string | undefined {
  let expanded = ''
  for (let index = 0; index < text.length; index++) {
    const character = text[index] ?? ''
    const letter = text[index + 1] ?? ''
    if (character !== '%' || !LETTER.test(letter)) {
      expanded += character
      continue
    }
    index++
    const value = letter === '%' ? '%' : specifiers(letter)
    if (value === undefined) return undefined
    expanded += value
  }
  return Buffer.byteLength(expanded) > maxBytes ? undefined : expanded
}
