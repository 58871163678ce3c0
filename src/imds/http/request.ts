import type { HttpTarget } from './target.ts'

/** Name of a header, and what stands behind its colon. In their order. */
export type Header = readonly [name: string, value: string]

/** A token (RFC 9110, 5.6.2). */
const NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
/** No control character but the tab: a line cannot end in it (RFC 9110, 5.5). */
const VALUE = /^(?:\t|\P{Cc})*$/u

/**
 * A request as bytes, without a body. Undefined when a header cannot be sent: its name is none, or its value would end the line.
 * As libcurl has it, a header without a value is left out, and one of these takes the place of our own of the same name.
 */
export function formatRequest(
  method: 'GET' | 'PUT',
  target: HttpTarget,
  own: readonly Header[],
  headers: readonly Header[],
): Buffer | undefined {
  const isGiven = ([name]: Header): boolean => headers.some(([given]) => sameName(given, name))
  const host = headers.find(([name]) => sameName(name, 'Host')) ?? ['Host', ` ${target.authority}`]
  const rest = headers.filter(([name]) => !sameName(name, 'Host'))
  const all: readonly Header[] = [host, ...own.filter((header) => !isGiven(header)), ...rest]
  if (all.some(([name, value]) => !NAME.test(name) || !VALUE.test(value))) return undefined
  const lines = all.filter(([, value]) => value.trim() !== '').map(([name, value]) => `${name}:${value}\r\n`)
  return Buffer.from(`${method} ${target.path} HTTP/1.1\r\n${lines.join('')}\r\n`)
}

function sameName(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase()
}

/** `Name: value` in its two parts, as they stand; undefined without a colon. */
export function splitHeader(line: string): Header | undefined {
  const at = line.indexOf(':')
  return at < 0 ? undefined : [line.slice(0, at), line.slice(at + 1)]
}
