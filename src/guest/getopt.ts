import { ToolFailure } from './tool-failure.ts'

/** An option of a program, as getopt_long(3) has it. */
export interface OptionSpec {
  readonly long?: string
  readonly short?: string
  /** Whether an argument follows. */
  readonly takes?: 'argument'
}

export interface ParsedArguments {
  /** In the order of the command line; the same option may come more than once. */
  readonly options: readonly { readonly name: string; readonly value: string | undefined }[]
  /** What is no option, wherever it stands, and everything behind `--`. */
  readonly words: readonly string[]
}

/**
 * Reads a command line as the originals do: options and words in any order, `--long=value` or `--long value`, long names cut
 * as long as they stay unambiguous, short ones in a row. Rejects with their words.
 *
 * @param specs in the order in which ambiguous names are listed; an option is named by its long name, else by its short one
 */
export function parseArguments(
  program: string,
  specs: readonly OptionSpec[],
  argv: readonly string[],
): ParsedArguments {
  const options: { name: string; value: string | undefined }[] = []
  const words: string[] = []
  const refuse = (problem: string): never => {
    throw new ToolFailure(`${program}: ${problem}`)
  }
  const rest = [...argv]
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    if (word === '--') {
      words.push(...rest)
      break
    }
    if (word.startsWith('--')) {
      const [typed = '', value] = splitOnce(word, '=')
      const spec = longOption(specs, typed, refuse)
      const shown = `--${spec.long}`
      if (spec.takes === undefined && value !== undefined) refuse(`option '${shown}' doesn't allow an argument`)
      const argument = spec.takes === undefined ? undefined : (value ?? rest.shift())
      if (spec.takes !== undefined && argument === undefined) refuse(`option '${shown}' requires an argument`)
      options.push({ name: nameOf(spec), value: argument })
    } else if (word.startsWith('-') && word !== '-') {
      for (let letters = word.slice(1); letters !== ''; ) {
        const letter = letters[0] ?? ''
        letters = letters.slice(1)
        const spec = specs.find(({ short }) => short === letter) ?? refuse(`unrecognized option '-${letter}'`)
        let value: string | undefined
        if (spec.takes !== undefined) {
          value = letters === '' ? rest.shift() : letters
          letters = ''
          if (value === undefined) refuse(`option '-${letter}' requires an argument`)
        }
        options.push({ name: nameOf(spec), value })
      }
    } else words.push(word)
  }
  return { options, words }
}

function longOption(specs: readonly OptionSpec[], typed: string, refuse: (problem: string) => never): OptionSpec {
  const name = typed.slice(2)
  const exact = specs.find(({ long }) => long === name)
  if (exact !== undefined) return exact
  const possible = specs.filter(({ long }) => long?.startsWith(name) === true)
  const [only] = possible
  if (only === undefined) return refuse(`unrecognized option '${typed}'`)
  if (possible.length === 1) return only
  const names = possible.map(({ long }) => `--${long}`).join(', ')
  return refuse(`option '${typed}' is ambiguous; possibilities: ${names}`)
}

function nameOf({ long, short }: OptionSpec): string {
  return long ?? short ?? ''
}

function splitOnce(text: string, at: string): [string, string | undefined] {
  const index = text.indexOf(at)
  return index < 0 ? [text, undefined] : [text.slice(0, index), text.slice(index + at.length)]
}
