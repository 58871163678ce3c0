import { unknownName } from '../system/index.ts'
import type { ToolOutput } from './tool-output.ts'

/** One of the programs that stand in for systemd's own. Returns its exit status. */
type GuestTool = (argv: readonly string[], output: ToolOutput) => Promise<number>

/** What `--version` says: the version whose behaviour this is, and whose work. */
export const VERSION = 'systemd 262 (bootwright)\n'

/** Each loads what it needs and no more: the broker's first caller waits for its start. */
const TOOLS: Readonly<Record<string, GuestTool>> = {
  'systemd-imds': async (argv, output) => {
    const { imds } = await import('./imds/imds.ts')
    return imds(argv, output, { version: VERSION })
  },
  'systemd-imds-generator': async (argv, output) => {
    const { imdsGenerator } = await import('./imds-generator/generator.ts')
    return imdsGenerator(argv, output)
  },
  'systemd-imdsd': async (argv, output) => {
    const [{ imdsd }, { memoryAtRest }] = await Promise.all([import('./imdsd/imdsd.ts'), import('./imdsd/at-rest.ts')])
    return imdsd(argv, output, { version: VERSION, atRest: memoryAtRest() })
  },
  'systemd-measure': async (argv, output) => {
    const { measure } = await import('./measure/measure.ts')
    return measure(argv, output, VERSION)
  },
  'systemd-sysupdate': async (argv, output) => {
    const { sysupdate } = await import('./sysupdate/sysupdate.ts')
    return sysupdate(argv, output, { version: VERSION })
  },
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
