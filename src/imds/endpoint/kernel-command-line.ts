/** One word of a kernel command line; without a value where it has no `=`. */
export interface KernelItem {
  /** With `_` for each `-`, as both mean the same, and without the prefix of the initrd. */
  readonly key: string
  readonly value: string | undefined
}

/**
 * The words of a kernel command line (kernel-command-line(7)): separated by blanks, in quotes where they hold some. What begins
 * with `rd.` is for the initrd alone.
 */
export function kernelItems(commandLine: string, { isInitrd }: { readonly isInitrd: boolean }): KernelItem[] {
  return splitWords(commandLine).flatMap((word) => {
    const at = word.indexOf('=')
    const key = (at < 0 ? word : word.slice(0, at)).replaceAll('-', '_')
    const value = at < 0 ? undefined : word.slice(at + 1)
    if (!key.startsWith('rd.')) return [{ key, value }]
    return isInitrd ? [{ key: key.slice('rd.'.length), value }] : []
  })
}

/** Quotes of both kinds are taken away; one that is not closed goes to the end. A backslash is itself. */
function splitWords(text: string): string[] {
  const words: string[] = []
  let word: string | undefined
  let quote = ''
  for (const character of text) {
    if (quote !== '') {
      if (character === quote) quote = ''
      else word = (word ?? '') + character
    } else if (character === '"' || character === "'") {
      quote = character
      word ??= ''
    } else if (/[ \t\n\r]/.test(character)) {
      if (word !== undefined) words.push(word)
      word = undefined
    } else word = (word ?? '') + character
  }
  return word === undefined ? words : [...words, word]
}
