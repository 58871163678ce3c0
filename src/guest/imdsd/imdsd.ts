import { readFileSync } from 'node:fs'
import {
  accessPolicy,
  Broker,
  type BrokerSettings,
  brokerService,
  chooseEndpoint,
  DEFAULT_SETTINGS,
  type FetchRequest,
  hostSources,
  imdsErrorName,
  isKey,
  networkMode,
} from '../../imds/index.ts'
import { passedDescriptors, VarlinkErrorReply } from '../../varlink/index.ts'
import { serveSockets } from '../serve-sockets.ts'
import { errnoText, ToolFailure } from '../tool-failure.ts'
import type { ToolOutput } from '../tool-output.ts'
import { HELP } from './help.ts'
import { type ImdsdOptions, parseImdsdOptions } from './options.ts'
import { askPolkit } from './polkit.ts'
import { setUpNetwork } from './setup-network.ts'

/** EXIT_NOTCONFIGURED (systemd.exec(5)). */
const NOT_CONFIGURED = 6
const BROKER_USER = 'systemd-imds'

export interface ImdsdContext {
  readonly version: string
  /** This process's own when absent. */
  readonly environment?: Readonly<Record<string, string | undefined>>
  readonly runDirectory?: string
  readonly signal?: AbortSignal
  /** Called when the last of its clients has gone. */
  readonly atRest?: () => void
  readonly settings?: Partial<BrokerSettings>
}

/** Drop-in for systemd-imdsd of systemd 262: the broker on sockets that it was given, else one request. Returns the exit status. */
export async function imdsd(
  argv: readonly string[],
  output: Pick<ToolOutput, 'out' | 'error'>,
  context: ImdsdContext,
): Promise<number> {
  try {
    return await run(parseImdsdOptions(argv), output, context)
  } catch (error) {
    if (!(error instanceof ToolFailure)) throw error
    output.error(`${error.message}\n`)
    return 1
  }
}

async function run(
  options: ImdsdOptions,
  output: Pick<ToolOutput, 'out' | 'error'>,
  context: ImdsdContext,
): Promise<number> {
  const environment = context.environment ?? process.env
  if (options.verb === 'help' || options.verb === 'version') {
    output.out(options.verb === 'help' ? HELP : context.version)
    return 0
  }
  const sources = hostSources(options.endpoint, { compat: options.compat, environment })
  const settings: BrokerSettings = {
    ...DEFAULT_SETTINGS,
    compat: options.compat,
    endpoint: chooseEndpoint(sources),
    runtimeDirectory: environment.RUNTIME_DIRECTORY || undefined,
    log: (line) => output.error(`${line}\n`),
    ...context.settings,
  }
  const passed = passedDescriptors(environment, process.pid)
  if (passed.length > 0) {
    const authorize = accessPolicy(process.getuid?.() ?? 0, askPolkit)
    const service = brokerService(new Broker(settings), authorize)
    await serveSockets(passed, service, { log: settings.log, signal: context.signal, atRest: context.atRest })
    return 0
  }
  if (options.verb === 'setup-network') {
    if (options.words.length > 0) throw new ToolFailure('No argument expected.')
    if (settings.endpoint === undefined) return notConfigured(output)
    const mode = networkMode(sources)
    const uid = options.isLockHardened && mode === 'locked' ? brokerUid() : undefined
    try {
      setUpNetwork(context.runDirectory ?? '/run', mode, settings.endpoint, uid)
    } catch (error) {
      throw new ToolFailure(`Cannot write the network's configuration: ${errnoText(error)}`)
    }
    return 0
  }
  return get(options, settings, output, context.signal ?? new AbortController().signal)
}

async function get(
  options: ImdsdOptions,
  settings: BrokerSettings,
  output: Pick<ToolOutput, 'out' | 'error'>,
  signal: AbortSignal,
): Promise<number> {
  const [key, ...more] = options.words
  const wellKnown = options.wellKnown ?? 'base'
  if (more.length > 0 || (key === undefined && options.wellKnown === undefined)) {
    throw new ToolFailure('A single argument expected.')
  }
  if (key !== undefined && !isKey(key)) throw new ToolFailure(`Specified IMDS key is not valid, refusing: ${key}`)
  if (settings.endpoint === undefined) return notConfigured(output)
  const broker = new Broker(settings)
  const { interfaceIndex, refreshUSec, cache, mark, wait } = options
  try {
    const request: FetchRequest = {
      key: broker.combineKey(wellKnown, key),
      interfaceIndex,
      refreshUSec,
      cache,
      mark,
      wait,
    }
    const { data } = await broker.fetch(request, signal)
    output.out(data)
    return 0
  } catch (error) {
    if (!(error instanceof VarlinkErrorReply)) throw error
    const name = imdsErrorName(error) ?? error.parameters.errnoName ?? error.parameters.errno ?? error.error
    throw new ToolFailure(`Operation failed (${name}).`)
  }
}

function notConfigured(output: Pick<ToolOutput, 'out' | 'error'>): number {
  output.error('No endpoint is configured, or less than it takes: nothing to ask.\n')
  return NOT_CONFIGURED
}

/** The number of the broker's user; the lock for it cannot be made without. */
function brokerUid(): number {
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((entry) => entry.startsWith(`${BROKER_USER}:`))
  const uid = Number(line?.split(':')[2])
  if (!Number.isInteger(uid)) throw new ToolFailure(`There is no user ${BROKER_USER} to lock the endpoint for.`)
  return uid
}
