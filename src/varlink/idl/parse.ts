import {
  BASIC_TYPES,
  type EnumType,
  type EnumValue,
  type Field,
  type InterfaceDescription,
  type Member,
  type StructType,
  type VarlinkType,
} from './description.ts'
import { refuse, type Token, Tokens } from './tokens.ts'

const INTERFACE_NAME = /^[A-Za-z](-*[A-Za-z0-9])*(\.[A-Za-z0-9](-*[A-Za-z0-9])*)+$/
const MEMBER_NAME = /^[A-Z][A-Za-z0-9]*$/
const FIELD_NAME = /^[A-Za-z](_?[A-Za-z0-9])*$/

/** Structures in structures; interfaces of this world have two. */
const MAX_NESTING = 64

/**
 * Reads an interface description (varlink.org, "Interface Definition"), with what systemd has added: the type `any`.
 * Rejects with `MALFORMED_INPUT`, with the offset, what breaks the grammar, names something twice or a type that is not there.
 */
export function parseInterface(text: string): InterfaceDescription {
  const tokens = new Tokens(text)
  const comments = tokens.expect('interface').comments
  const name = tokens.take()
  if (!INTERFACE_NAME.test(name.text)) refuse(name, 'the name of an interface, as org.example.service')
  const parser = new Parser(tokens)
  const members: Member[] = []
  const known = new Set<string>()
  while (tokens.next.text !== '') {
    const at = tokens.next
    const member = parser.member()
    if (known.has(member.name)) refuse({ ...at, text: member.name }, 'a name that is not there yet')
    known.add(member.name)
    members.push(member)
  }
  const types = new Set(members.filter(({ kind }) => kind === 'type').map((member) => member.name))
  for (const reference of parser.references) {
    if (!types.has(reference.text)) refuse(reference, 'a type that the interface has')
  }
  return { name: name.text, comments, members }
}

class Parser {
  /** Where which type was named. */
  readonly references: Token[] = []
  readonly #tokens: Tokens

  constructor(tokens: Tokens) {
    this.#tokens = tokens
  }

  member(): Member {
    const keyword = this.#tokens.take()
    const { text: kind, comments } = keyword
    if (kind !== 'type' && kind !== 'method' && kind !== 'error') return refuse(keyword, '"type", "method" or "error"')
    const name = this.#name(MEMBER_NAME, 'a name that begins with a capital letter')
    if (kind === 'type') return { kind, name, comments, type: this.#structOrEnum(0) }
    if (kind === 'error') return { kind, name, comments, parameters: this.#struct() }
    const input = this.#struct()
    this.#tokens.expect('->')
    return { kind, name, comments, input, output: this.#struct() }
  }

  #name(pattern: RegExp, expectation: string): string {
    const token = this.#tokens.take()
    return pattern.test(token.text) ? token.text : refuse(token, expectation)
  }

  #struct(): StructType {
    const at = this.#tokens.next
    const type = this.#structOrEnum(0)
    return type.kind === 'struct' ? type : refuse(at, 'fields with their types')
  }

  /** The first entry tells which it is: a field has its type. */
  #structOrEnum(depth: number): StructType | EnumType {
    const tokens = this.#tokens
    const open = tokens.expect('(')
    if (depth > MAX_NESTING) refuse(open, `at most ${MAX_NESTING} structures within each other`)
    if (tokens.takeIf(')')) return { kind: 'struct', fields: [] }
    const fields: Field[] = []
    const values: EnumValue[] = []
    const known = new Set<string>()
    do {
      const at = tokens.next
      const name = this.#name(FIELD_NAME, 'the name of a field')
      if (known.has(name)) refuse(at, 'a name that is not there yet')
      known.add(name)
      const { comments } = at
      const isEnum = fields.length === 0 && (values.length > 0 || tokens.next.text !== ':')
      if (isEnum) values.push({ name, comments })
      else {
        tokens.expect(':')
        fields.push({ name, comments, type: this.#type(depth + 1) })
      }
    } while (tokens.takeIf(','))
    tokens.expect(')')
    return fields.length > 0 ? { kind: 'struct', fields } : { kind: 'enum', values }
  }

  #type(depth: number): VarlinkType {
    const token = this.#tokens.next
    if (depth > MAX_NESTING) refuse(token, `at most ${MAX_NESTING} types within each other`)
    if (token.text === '(') return this.#structOrEnum(depth)
    this.#tokens.take()
    if (token.text === '[]') return { kind: 'array', of: this.#type(depth + 1) }
    if (token.text === '[string]') return { kind: 'map', of: this.#type(depth + 1) }
    if (token.text === '?') {
      if (this.#tokens.next.text === '?') refuse(this.#tokens.next, 'one "?" and the type')
      return { kind: 'optional', of: this.#type(depth + 1) }
    }
    const basic = BASIC_TYPES.find((name) => name === token.text)
    if (basic !== undefined) return { kind: basic }
    if (!MEMBER_NAME.test(token.text)) refuse(token, 'a type')
    this.references.push(token)
    return { kind: 'named', name: token.text }
  }
}
