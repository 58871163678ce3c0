import { passedDescriptors } from '../../varlink/index.ts'
import type { ToolOutput } from '../tool-output.ts'
import { cleanupVerb, update, vacuumVerb } from './change.ts'
import { tellFailure } from './failure.ts'
import { HELP } from './help.ts'
import { open, type SysupdateContext } from './open.ts'
import { parseSysupdateOptions, type SysupdateOptions } from './options.ts'
import { reboot } from './reboot.ts'
import { showComponents, showFeatures, showVersions } from './show.ts'
import { switchComponents, switchFeatures } from './switch.ts'
import { checkVerb } from './verbs.ts'

/** systemd-sysupdate(8) of systemd 262. Returns the exit status. */
export async function sysupdate(
  argv: readonly string[],
  output: ToolOutput,
  context: SysupdateContext,
): Promise<number> {
  const { environment = process.env } = context
  try {
    const options = parseSysupdateOptions(argv, environment)
    const passed = passedDescriptors(environment, process.pid)
    if (passed.length === 0) return await run(options, output, context)
    const log = (line: string): void => output.log('warning', line)
    // Who calls the program does not wait for what it takes to serve.
    const [{ serveSockets }, { sysupdateService }] = await Promise.all([
      import('../serve-sockets.ts'),
      import('./varlink-service.ts'),
    ])
    await serveSockets(passed, sysupdateService(context, options, output), { log })
    return 0
  } catch (error) {
    tellFailure(error, output)
    return 1
  }
}

async function run(options: SysupdateOptions, output: ToolOutput, context: SysupdateContext): Promise<number> {
  const { verb } = options
  if (verb === 'help' || verb === 'version' || verb === 'json-formats') {
    output.out(verb === 'help' ? HELP : verb === 'version' ? context.version : 'pretty\nshort\noff\n')
    return 0
  }
  checkVerb(verb, options)
  switch (verb) {
    case 'components':
      return showComponents(options, output, context)
    case 'features':
      return showFeatures(options, output, open(options, output, context))
    case 'update':
    case 'acquire':
      return update(options, output, context)
    case 'vacuum':
      return vacuumVerb(options, output, context)
    case 'cleanup':
      return cleanupVerb(options, output, context)
    case 'reboot':
      return reboot(options, output, open(options, output, context))
    case 'enable-feature':
    case 'disable-feature':
      return switchFeatures(options, output, context)
    case 'enable-component':
    case 'disable-component':
      return switchComponents(options, output, context)
    default:
      return showVersions(options, output, open(options, output, context))
  }
}
