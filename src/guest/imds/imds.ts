import { WELL_KNOWN } from '../../imds/index.ts'
import { passedDescriptors } from '../../varlink/index.ts'
import { serveSockets } from '../serve-sockets.ts'
import { ToolFailure } from '../tool-failure.ts'
import type { ToolOutput } from '../tool-output.ts'
import { HELP } from './help.ts'
import { importMetadata } from './import.ts'
import { measureUserData } from './measure-user-data.ts'
import { type Metadata, openMetadata, readUserData } from './metadata.ts'
import { metricsService } from './metrics.ts'
import { type ImdsOptions, parseImdsOptions } from './options.ts'
import { summary } from './summary.ts'

export interface ImdsContext {
  readonly version: string
  /** This process's own when absent. */
  readonly environment?: Readonly<Record<string, string | undefined>>
  readonly runDirectory?: string
  readonly measure?: (userData: Uint8Array) => Promise<void>
}

/** Drop-in for systemd-imds(1) of systemd 262. Returns the exit status. */
export async function imds(
  argv: readonly string[],
  output: Pick<ToolOutput, 'out' | 'error'>,
  context: ImdsContext,
): Promise<number> {
  try {
    return await run(parseImdsOptions(argv), output, context)
  } catch (error) {
    if (!(error instanceof ToolFailure)) throw error
    output.error(`${error.message}\n`)
    return 1
  }
}

async function run(
  options: ImdsOptions,
  output: Pick<ToolOutput, 'out' | 'error'>,
  context: ImdsContext,
): Promise<number> {
  if (options.verb === 'help') output.out(HELP)
  if (options.verb === 'version') output.out(context.version)
  if (options.verb === 'well-known-names') output.out(`${WELL_KNOWN.join('\n')}\n`)
  if (options.verb === 'help' || options.verb === 'version' || options.verb === 'well-known-names') return 0
  const { environment = process.env, runDirectory = '/run' } = context
  const log = (line: string): void => output.error(`${line}\n`)
  const open = (): Promise<Metadata> => openMetadata({ ...options, runDirectory, environment })
  const passed = passedDescriptors(environment, process.pid)
  if (passed.length > 0) {
    await serveSockets(passed, metricsService(open), { log })
    return 0
  }
  await using from = await open()
  switch (options.verb) {
    case 'summary':
      output.out(await summary(from))
      return 0
    case 'import': {
      const measure = context.measure ?? ((userData: Uint8Array) => measureUserData(userData, runDirectory))
      return (await importMetadata(from, { runDirectory, compat: options.compat, log, measure })) ? 0 : 1
    }
    case 'userdata':
      output.out(given(await readUserData(from), 'User data not available.'))
      return 0
    case 'get':
      output.out(given(await from.get(options.wellKnown, options.key), 'Key not available.'))
      return 0
  }
}

function given(value: Uint8Array | undefined, otherwise: string): Uint8Array {
  if (value === undefined) throw new ToolFailure(otherwise)
  return value
}
