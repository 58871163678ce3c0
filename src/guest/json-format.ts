/** How JSON is printed by systemd's tools (`--json=`). */
export type JsonFormat = 'pretty' | 'short' | 'off'

/** One line, or members on lines of their own behind tabs, as systemd's tools write them; without a newline at the end. */
export function formatJson(value: unknown, format: JsonFormat): string {
  return format === 'pretty' ? pretty(value, '') : JSON.stringify(value)
}

function pretty(value: unknown, indent: string): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const inner = `${indent}\t`
  const members = Array.isArray(value)
    ? value.map((member) => `${inner}${pretty(member, inner)}`)
    : Object.entries(value).map(([key, member]) => `${inner}${JSON.stringify(key)} : ${pretty(member, inner)}`)
  const [open, close] = Array.isArray(value) ? '[]' : '{}'
  return members.length === 0 ? `${open}${close}` : `${open}\n${members.join(',\n')}\n${indent}${close}`
}
