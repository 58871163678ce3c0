import { BootwrightError } from '../system/index.ts'

/** Where in which input something is wrong. */
export interface Place {
  /** The kind of input, as its specification calls it: `PE file`, `GPT header`, … */
  readonly what: string
  readonly field: string
  /** Byte offset from the start of the whole input. */
  readonly offset: number
}

/** The error of every parser here: `MALFORMED_INPUT`, with the field, its offset, what was expected and what was found. */
export function malformed(
  place: Place,
  problem: string,
  facts: { cause?: unknown; hint?: string } = {},
): BootwrightError {
  return new BootwrightError(
    'MALFORMED_INPUT',
    `Cannot read ${place.what}: ${place.field} at offset ${place.offset}: ${problem}`,
    {
      ...(facts.cause === undefined ? {} : { cause: facts.cause }),
      hint: facts.hint ?? 'The input is cut, damaged or of another kind: take it again from where it was made.',
      detail: { what: place.what, field: place.field, offset: place.offset },
    },
  )
}
