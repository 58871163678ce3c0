/** What a Varlink interface consists of (varlink.org, "Interface Definition"), comments included. */
export interface InterfaceDescription {
  /** In reverse-domain notation, as `org.varlink.service`. */
  readonly name: string
  readonly comments: readonly string[]
  /** In the order of the text. */
  readonly members: readonly Member[]
}

export type Member = TypeMember | MethodMember | ErrorMember

export interface TypeMember {
  readonly kind: 'type'
  readonly name: string
  readonly comments: readonly string[]
  readonly type: StructType | EnumType
}

export interface MethodMember {
  readonly kind: 'method'
  readonly name: string
  readonly comments: readonly string[]
  readonly input: StructType
  readonly output: StructType
}

export interface ErrorMember {
  readonly kind: 'error'
  readonly name: string
  readonly comments: readonly string[]
  readonly parameters: StructType
}

export type VarlinkType =
  | { readonly kind: (typeof BASIC_TYPES)[number] }
  | { readonly kind: 'array' | 'map' | 'optional'; readonly of: VarlinkType }
  | { readonly kind: 'named'; readonly name: string }
  | StructType
  | EnumType

export interface StructType {
  readonly kind: 'struct'
  readonly fields: readonly Field[]
}

export interface EnumType {
  readonly kind: 'enum'
  readonly values: readonly EnumValue[]
}

export interface Field {
  readonly name: string
  readonly comments: readonly string[]
  readonly type: VarlinkType
}

export interface EnumValue {
  readonly name: string
  readonly comments: readonly string[]
}

/** `any` is systemd's addition: whatever JSON has. */
export const BASIC_TYPES = ['bool', 'int', 'float', 'string', 'object', 'any'] as const

/** The member of this kind and name. */
export function memberOf<K extends Member['kind']>(
  { members }: InterfaceDescription,
  kind: K,
  name: string,
): Extract<Member, { kind: K }> | undefined {
  return members.find((member): member is Extract<Member, { kind: K }> => member.kind === kind && member.name === name)
}
