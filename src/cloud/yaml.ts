import { isObject, type Json, members } from './json.ts'

/** Text that YAML 1.1 readers take for text without quotes. */
const PLAIN = /^[A-Za-z_][\w./-]*( [\w./-]+)*$/
/** Words that they take for something else. */
const RESERVED = /^(true|false|yes|no|on|off|y|n|null|~)$/i

/** A document in block style, as clouds write it; text of several lines and odd text in double quotes. */
export function yaml(value: Json): string {
  return `${block(value, '').replace(/^\n/, '')}\n`
}

/** What follows a key or dash: on the same line for scalars and empty collections, else on lines of its own. */
function block(value: Json, indent: string): string {
  const entries = members(value)
  if (!isObject(value) && !Array.isArray(value)) return scalar(value)
  if (entries.length === 0) return Array.isArray(value) ? '[]' : '{}'
  const lines = entries.map(([key, child]) => {
    if (!Array.isArray(value)) {
      const below = block(child, Array.isArray(child) ? indent : `${indent}  `)
      return `${indent}${scalar(key)}:${below.startsWith('\n') ? below : ` ${below}`}`
    }
    const below = block(child, `${indent}  `)
    // The first line of what is below stands right behind the dash.
    return `${indent}- ${below.startsWith('\n') ? below.slice(1 + indent.length + 2) : below}`
  })
  return `\n${lines.join('\n')}`
}

function scalar(value: Json): string {
  if (typeof value !== 'string') return JSON.stringify(value)
  return PLAIN.test(value) && !RESERVED.test(value) ? value : JSON.stringify(value)
}
