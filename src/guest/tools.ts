import { unknownName } from '../system/index.ts'
import { imds } from './imds/imds.ts'
import { imdsGenerator } from './imds-generator/generator.ts'
import { imdsd } from './imdsd/imdsd.ts'
import { measure } from './measure/measure.ts'
import type { ToolOutput } from './tool-output.ts'

/** One of the programs that stand in for systemd's own. Returns its exit status. */
type GuestTool = (argv: readonly string[], output: ToolOutput) => Promise<number>

/** What `--version` says: the version whose behaviour this is, and whose work. */
export const VERSION = 'systemd 262 (bootwright)\n'

const TOOLS: Readonly<Record<string, GuestTool>> = {
  'systemd-imds': (argv, output) => imds(argv, output, { version: VERSION }),
  'systemd-imds-generator': (argv, output) => imdsGenerator(argv, output),
  'systemd-imdsd': (argv, output) => imdsd(argv, output, { version: VERSION }),
  'systemd-measure': (argv, output) => measure(argv, output, VERSION),
}

export function guestToolNames(): readonly string[] {
  return Object.keys(TOOLS)
}

export function isGuestTool(name: string): boolean {
  return Object.hasOwn(TOOLS, name)
}

/** The tool of this name; `UNKNOWN_NAME` lists those there are. */
export function guestTool(name: string): GuestTool {
  const tool = TOOLS[name]
  if (tool === undefined) throw unknownName('guest tool', name, guestToolNames())
  return tool
}
