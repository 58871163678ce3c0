import { type ColorMode, colored, colorMode } from './colors.ts'
import { type Glyphs, glyphs } from './glyphs.ts'

/** Where a guest tool writes. */
export interface ToolOutput {
  /** Both standard output and standard error. */
  readonly isTerminal: boolean
  readonly colors: ColorMode
  readonly glyphs: Glyphs
  out(text: string | Uint8Array): void
  error(text: string): void
  /** A line of a log: on a terminal it may have a colour. */
  log(level: 'error' | 'warning' | 'info', line: string): void
}

/** What a tool is asked in, and where its output goes. */
export interface ToolStreams {
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly isOutTerminal: boolean
  readonly isErrorTerminal: boolean
  out(text: string | Uint8Array): void
  error(text: string): void
}

/** As systemd's tools write: a log to a terminal has the ends of lines of one that is in raw mode. */
export function toolOutput(streams: ToolStreams): ToolOutput {
  // Asked only when it matters: a stream of Node's that nobody writes to takes milliseconds of a start.
  const isTerminal = (): boolean => streams.isOutTerminal && streams.isErrorTerminal
  const colors = (): ColorMode => colorMode(streams.environment, isTerminal())
  return {
    get isTerminal() {
      return isTerminal()
    },
    get colors() {
      return colors()
    },
    glyphs: glyphs(streams.environment),
    out: (text) => streams.out(text),
    error: (text) => streams.error(text),
    log(level, line) {
      const end = streams.isErrorTerminal ? '\r\n' : '\n'
      if (level === 'info') streams.error(`${line}${end}`)
      else streams.error(`${colored(line, level === 'error' ? 'highlightRed' : 'highlightYellow', colors())}${end}`)
    },
  }
}

/** Of this process. */
export function processOutput(): ToolOutput {
  return toolOutput({
    environment: process.env,
    get isOutTerminal() {
      return process.stdout.isTTY === true
    },
    get isErrorTerminal() {
      return process.stderr.isTTY === true
    },
    out: (text) => void process.stdout.write(text),
    error: (text) => void process.stderr.write(text),
  })
}
