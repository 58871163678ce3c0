import { join } from 'node:path'
import {
  Broker,
  brokerService,
  chooseEndpoint,
  DEFAULT_SETTINGS,
  decodeBase64,
  hostSources,
  IMDS_INTERFACE,
  imdsErrorName,
  type WellKnown,
  wireName,
} from '../../imds/index.ts'
import { BootwrightError } from '../../system/index.ts'
import {
  connectVarlink,
  type VarlinkConnection,
  VarlinkErrorReply,
  type VarlinkParameters,
} from '../../varlink/index.ts'
import { ToolFailure } from '../tool-failure.ts'

/** The instance's metadata as the tool sees them. */
export interface Metadata extends AsyncDisposable {
  /** Undefined for what the cloud has not; rejects with a {@link ToolFailure} for everything else. */
  get(wellKnown: WellKnown | undefined, key?: string): Promise<Uint8Array | undefined>
  vendor(): Promise<string | undefined>
}

export interface MetadataOptions {
  readonly runDirectory: string
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly refreshUSec: number | undefined
  readonly cache: boolean | undefined
  readonly compat: boolean
}

/** Through the broker; where there is none, by asking the endpoint oneself, which remembers nothing. */
export async function openMetadata(options: MetadataOptions): Promise<Metadata> {
  const path = join(options.runDirectory, 'systemd', IMDS_INTERFACE)
  try {
    return through(await connectVarlink(path), options)
  } catch (error) {
    if (!(error instanceof BootwrightError && /ENOENT|ECONNREFUSED/.test(error.message))) throw error
    return withoutBroker(options)
  }
}

type Call = (method: string, parameters: VarlinkParameters) => Promise<VarlinkParameters>

function through(connection: VarlinkConnection, options: MetadataOptions): Metadata {
  return metadata(
    (method, parameters) => connection.call(method, parameters),
    options,
    async () => {
      await connection[Symbol.asyncDispose]()
    },
  )
}

function withoutBroker(options: MetadataOptions): Metadata {
  const { compat, environment } = options
  const endpoint = chooseEndpoint(hostSources(undefined, { compat, environment }))
  const broker = new Broker({ ...DEFAULT_SETTINGS, compat, endpoint, runtimeDirectory: undefined })
  const service = brokerService(broker, async () => undefined)
  const context = {
    peer: { uid: process.getuid?.() },
    signal: new AbortController().signal,
    send: async () => undefined,
    takeOver: () => undefined,
  }
  const flags = { more: false, oneway: false, upgrade: false }
  return metadata(
    (method, parameters) => service.answer({ method, parameters, ...flags }, context),
    options,
    async () => undefined,
  )
}

function metadata(call: Call, { refreshUSec, cache }: MetadataOptions, close: () => Promise<void>): Metadata {
  const ask = async (method: string, parameters: VarlinkParameters): Promise<VarlinkParameters | undefined> => {
    try {
      return await call(`${IMDS_INTERFACE}.${method}`, parameters)
    } catch (error) {
      if (!(error instanceof VarlinkErrorReply)) throw error
      const name = imdsErrorName(error)
      if (name === 'KeyNotFound' || name === 'WellKnownKeyUnset') return undefined
      throw new ToolFailure(`Failed to issue ${IMDS_INTERFACE}.${method}(): ${error.error}`)
    }
  }
  return {
    async get(wellKnown, key) {
      const reply = await ask('Get', {
        ...(key !== undefined && { key }),
        ...(wellKnown !== undefined && { wellKnown: wireName(wellKnown) }),
        ...(refreshUSec !== undefined && { refreshUSec: Math.min(refreshUSec, Number.MAX_SAFE_INTEGER) }),
        ...(cache !== undefined && { cache }),
      })
      if (reply === undefined) return undefined
      const data = decodeBase64(String(reply.data))
      if (data === undefined) throw new ToolFailure('The broker gives what is no base64.')
      return data
    },
    async vendor() {
      const vendor = (await ask('GetVendorInfo', {}))?.vendor
      return typeof vendor === 'string' ? vendor : undefined
    },
    [Symbol.asyncDispose]: close,
  }
}

/** The user data, wherever the cloud has them: the first place that there is decides. */
export async function readUserData(from: Metadata): Promise<Uint8Array | undefined> {
  const own = await from.get('userdata-base', '/systemd-userdata')
  const plain = own ?? (await from.get('userdata'))
  if (plain !== undefined) return plain.length === 0 ? undefined : plain
  const encoded = await from.get('userdata-base64')
  if (encoded === undefined || encoded.length === 0) return undefined
  const decoded = decodeBase64(Buffer.from(encoded).toString('latin1'))
  if (decoded === undefined) throw new ToolFailure('The user data are no base64.')
  return decoded
}
