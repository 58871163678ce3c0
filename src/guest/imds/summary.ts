import type { WellKnown } from '../../imds/index.ts'
import { ToolFailure } from '../tool-failure.ts'
import type { Metadata } from './metadata.ts'

/** What the summary shows, in its order. */
const ROWS: readonly (readonly [title: string, field: WellKnown | 'vendor'])[] = [
  ['Vendor', 'vendor'],
  ['Hostname', 'hostname'],
  ['Region', 'region'],
  ['Zone', 'zone'],
  ['Public IPv4 Address', 'ipv4-public'],
  ['Public IPv6 Address', 'ipv6-public'],
]

/** One line for each field that the cloud has. Whoever wrote a value does not get to write on the terminal. */
export async function summary(from: Metadata): Promise<string> {
  const found: { title: string; lines: string[] }[] = []
  for (const [title, field] of ROWS) {
    const value = field === 'vendor' ? await from.vendor() : text(await from.get(field))
    if (value === undefined || value === '') continue
    found.push({ title, lines: value.split('\n').map(printable) })
  }
  if (found.length === 0) throw new ToolFailure('No well-known IMDS data available.')
  const width = Math.max(...found.map(({ title }) => title.length))
  return found
    .map(({ title, lines }) => `${title.padStart(width)}: ${lines.join(`\n${' '.repeat(width + 2)}`)}\n`)
    .join('')
}

export function text(bytes: Uint8Array | undefined): string | undefined {
  return bytes === undefined ? undefined : Buffer.from(bytes).toString('utf8')
}

function printable(line: string): string {
  return line.replace(/\p{Cc}/gu, (control) => `\\x${control.charCodeAt(0).toString(16).padStart(2, '0')}`)
}
