import { withoutEnds } from '../../../formats/index.ts'
import type { FirmwareConsoles } from './input.ts'

/** The profile that load options ask for, `@N` and exactly one space, and the rest of them. */
export function splitProfile(loadOptions: string): { readonly profile: number; readonly rest: string } {
  const match = /^@(\d{1,10})(?: |$)/.exec(loadOptions)
  const profile = Number(match?.[1])
  if (match === null || profile > 0xffffffff) return { profile: 0, rest: loadOptions }
  return { profile, rest: loadOptions.slice(match[0].length) }
}

/** Load options that are no text, such as the marks of a firmware, are no command line. */
export function textLoadOptions(loadOptions: string | undefined): string | undefined {
  const text = loadOptions?.split('\0', 1)[0]
  return text === undefined || [...text].some((character) => character < ' ') ? undefined : text
}

/** Control characters become spaces, and those at both ends go; spaces inside stay as many as they are. */
export function mangled(commandLine: string): string {
  const spaced = commandLine.replaceAll(/[\0-\x20\x7f]/g, ' ')
  return withoutEnds(spaced, (character) => character === ' ')
}

/** Two parts with a space between them, if both are something. */
export function joined(first: string, second: string): string {
  return first === '' ? second : second === '' ? first : `${first} ${second}`
}

const SERIAL_PORTS = ['0x3f8', '0x2f8', '0x3e8', '0x2e8']

/** The consoles that the stub appends to a command line that names none (systemd 261, on x86). */
export function withAutomaticConsole(commandLine: string, consoles: FirmwareConsoles): string {
  if (/(^|\s)console=/.test(commandLine)) return commandLine
  const port = consoles.serialPort === undefined ? undefined : SERIAL_PORTS[consoles.serialPort]
  const words: string[] = []
  if (port !== undefined) words.push(`console=uart,io,${port}`)
  if (consoles.virtioConsoles === 1) words.push('console=hvc0')
  if (words.length > 0 && consoles.hasGraphics) words.push('console=tty0')
  return words.reduce(joined, commandLine)
}

/** The value of the last word `name=value` of a kernel command line; undefined without one. */
export function kernelParameter(commandLine: string, name: string): string | undefined {
  const words = commandLine.split(/\s+/).filter((word) => word.startsWith(`${name}=`))
  return words.at(-1)?.slice(name.length + 1)
}
