import { malformed } from '../../formats/index.ts'

/** A word or a sign, and the comments in front of it. */
export interface Token {
  readonly text: string
  /** Where it begins, in UTF-16 code units. */
  readonly offset: number
  /** Without their `#` and the blank behind it. */
  readonly comments: readonly string[]
}

const BLANKS = /[ \t\r\n]*/y
const COMMENT = /#[ ]?([^\r\n]*)/y
/** Names may have dots and dashes, as those of interfaces; what a name may be, the parser knows. */
const WORD = /->|\[string\]|\[\]|[():,?]|[A-Za-z0-9_.](?:[A-Za-z0-9_.]|-(?!>))*/y

/** An interface description as a sequence of words and signs; at its end an empty one, for ever. */
export class Tokens {
  readonly #text: string
  #offset = 0
  #next: Token | undefined

  constructor(text: string) {
    this.#text = text
  }

  /** The one that {@link take} gives next. */
  get next(): Token {
    this.#next ??= this.#read()
    return this.#next
  }

  take(): Token {
    const token = this.next
    this.#next = undefined
    return token
  }

  /** Takes the next one if it is this. */
  takeIf(text: string): boolean {
    if (this.next.text !== text) return false
    this.take()
    return true
  }

  /** Takes the next one, which has to be this. */
  expect(text: string): Token {
    const token = this.take()
    return token.text === text ? token : refuse(token, `"${text}"`)
  }

  #read(): Token {
    const comments: string[] = []
    for (;;) {
      this.#match(BLANKS)
      const comment = this.#match(COMMENT)
      if (comment === undefined) break
      comments.push(comment[1] ?? '')
    }
    const offset = this.#offset
    if (offset === this.#text.length) return { text: '', offset, comments }
    const text = this.#match(WORD)?.[0]
    if (text === undefined) {
      const found = String.fromCodePoint(this.#text.codePointAt(offset) ?? 0)
      return refuse({ text: found, offset, comments }, 'a name or one of ( ) : , ? [] [string] ->')
    }
    return { text, offset, comments }
  }

  #match(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#offset
    const match = pattern.exec(this.#text)
    if (match === null) return undefined
    this.#offset = pattern.lastIndex
    return match
  }
}

export function refuse({ text, offset }: Token, expectation: string): never {
  const found = text === '' ? 'its end' : JSON.stringify(text.slice(0, 100))
  throw malformed({ what: 'interface description', field: 'text', offset }, `expected ${expectation}, found ${found}`)
}
