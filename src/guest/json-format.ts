import { type ColorMode, colored } from './colors.ts'
import type { ToolOutput } from './tool-output.ts'

/** How JSON is printed by systemd's tools: as `--json=` says, or as suits who reads it. */
export type JsonFormat = 'pretty' | 'short' | 'off' | 'auto'

/** One line, or members on lines of their own behind tabs, as systemd's tools write them; without a newline at the end. */
export function formatJson(
  value: unknown,
  format: JsonFormat,
  output: Pick<ToolOutput, 'isTerminal' | 'colors'>,
): string {
  // Who asks for one line is a program.
  if (format === 'short' || format === 'off') return written(value, undefined, 'off')
  return written(value, format === 'pretty' || output.isTerminal ? '' : undefined, output.colors)
}

/** @param indent of the value itself; undefined for all in one line */
function written(value: unknown, indent: string | undefined, colors: ColorMode): string {
  // 64 bits of flags are more than a number holds.
  if (typeof value === 'bigint') return colored(String(value), 'highlightBlue', colors)
  if (typeof value === 'string') return string(value, colors)
  if (typeof value !== 'object' || value === null) return colored(JSON.stringify(value), 'highlightBlue', colors)
  const inner = indent === undefined ? undefined : `${indent}\t`
  const between = inner === undefined ? ':' : ' : '
  const members = Array.isArray(value)
    ? value.map((member) => `${inner ?? ''}${written(member, inner, colors)}`)
    : Object.entries(value)
        .filter(([, member]) => member !== undefined)
        .map(([key, member]) => `${inner ?? ''}${string(key, colors)}${between}${written(member, inner, colors)}`)
  const [open, close] = Array.isArray(value) ? '[]' : '{}'
  if (members.length === 0) return `${open}${close}`
  return indent === undefined
    ? `${open}${members.join(',')}${close}`
    : `${open}\n${members.join(',\n')}\n${indent}${close}`
}

/** The quotes have no colour. */
function string(text: string, colors: ColorMode): string {
  return `"${colored(JSON.stringify(text).slice(1, -1), 'green', colors)}"`
}
