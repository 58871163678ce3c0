import type { EnumType, InterfaceDescription, Member, StructType, VarlinkType } from './description.ts'

/** The text of an interface description as systemd writes it; {@link parseInterface} reads it back to the same. */
export function formatInterface({ name, comments, members }: InterfaceDescription): string {
  const head = `${commentLines(comments, '')}interface ${name}\n`
  return head + members.map((member) => `\n${commentLines(member.comments, '')}${formatMember(member)}\n`).join('')
}

function formatMember(member: Member): string {
  const head = `${member.kind} ${member.name}`
  if (member.kind === 'type') return head + formatBody(member.type, '')
  if (member.kind === 'error') return head + formatBody(member.parameters, '')
  return `${head}${formatBody(member.input, '')} -> ${formatBody(member.output, '')}`
}

function formatBody(type: StructType | EnumType, indent: string): string {
  const inner = `${indent}\t`
  const entries =
    type.kind === 'enum'
      ? type.values.map(({ name, comments }) => `${commentLines(comments, inner)}${inner}${name}`)
      : type.fields.map(({ name, comments, type: of }) => {
          return `${commentLines(comments, inner)}${inner}${name}: ${formatType(of, inner)}`
        })
  return entries.length === 0 ? '()' : `(\n${entries.join(',\n')}\n${indent})`
}

function formatType(type: VarlinkType, indent: string): string {
  switch (type.kind) {
    case 'optional':
      return `?${formatType(type.of, indent)}`
    case 'array':
      return `[]${formatType(type.of, indent)}`
    case 'map':
      return `[string]${formatType(type.of, indent)}`
    case 'named':
      return type.name
    case 'struct':
    case 'enum':
      return formatBody(type, indent)
    default:
      return type.kind
  }
}

function commentLines(comments: readonly string[], indent: string): string {
  return comments.map((line) => `${indent}#${line === '' ? '' : ` ${line}`}\n`).join('')
}
