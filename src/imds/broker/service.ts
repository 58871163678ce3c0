import { addressBytes } from '../../system/index.ts'
import {
  invalidParameter,
  type Method,
  type VarlinkInterface,
  type VarlinkParameters,
  type VarlinkPeer,
  type VarlinkService,
  varlinkService,
} from '../../varlink/index.ts'
import { imdsError } from '../errors.ts'
import { isKey, parseWellKnown, takesKey, type WellKnown } from '../well-known.ts'
import type { Authorize } from './access.ts'
import type { Broker } from './broker.ts'
import type { TokenMemory } from './fetch.ts'
import { INSTANCE_METADATA } from './interface.ts'
import { DEFAULT_MARK, DEFAULT_REFRESH_USEC, MIN_REFRESH_USEC } from './limits.ts'
import type { FetchRequest } from './settings.ts'

const MAX_INTERFACE = 0x7fff_ffff
const MAX_MARK = 0xffff_ffff

/** The broker as a Varlink service. */
export function brokerService(broker: Broker, authorize: Authorize): VarlinkService {
  return varlinkService(
    { vendor: 'Bootwright', product: 'bootwright (systemd-imdsd)', version: '262', url: 'https://systemd.io/' },
    [brokerInterface(broker, authorize)],
  )
}

function brokerInterface(broker: Broker, authorize: Authorize): VarlinkInterface {
  const perConnection = new WeakMap<VarlinkPeer, TokenMemory>()
  const Get: Method = async ({ parameters, peer, signal }) => {
    const call = readGet(parameters)
    const details = { wellKnown: call.wellKnown, ...(call.key !== undefined && { key: call.key }) }
    await authorize({ peer, details, mayAsk: parameters.allowInteractiveAuthentication === true, signal })
    if (broker.settings.endpoint === undefined) throw imdsError('NotSupported')
    const key = broker.combineKey(call.wellKnown, call.key)
    const tokens = perConnection.get(peer) ?? new Map()
    perConnection.set(peer, tokens)
    const { data, interfaceIndex } = await broker.fetch({ ...call.request, key }, signal, tokens)
    return { data: Buffer.from(data).toString('base64'), interface: interfaceIndex }
  }
  const GetVendorInfo: Method = () => {
    const { endpoint } = broker.settings
    if (endpoint === undefined) throw imdsError('NotSupported')
    const { addressIPv4, addressIPv6, wellKnown, extraHeader, ...texts } = endpoint
    return {
      ...texts,
      ...(extraHeader !== undefined && { extraHeader: [...extraHeader] }),
      ...(addressIPv4 !== undefined && { addressIPv4: [...addressBytes(addressIPv4)] }),
      ...(addressIPv6 !== undefined && { addressIPv6: [...addressBytes(addressIPv6)] }),
      ...(wellKnown !== undefined && { wellKnown: { ...wellKnown } }),
    }
  }
  return { description: INSTANCE_METADATA, methods: { Get, GetVendorInfo } }
}

interface GetCall {
  readonly wellKnown: WellKnown
  readonly key: string | undefined
  readonly request: Omit<FetchRequest, 'key'>
}

/** What the types of the interface do not say. */
function readGet(parameters: VarlinkParameters): GetCall {
  const key = text(parameters.key)
  const named = text(parameters.wellKnown)
  const wellKnown = named === undefined ? 'base' : parseWellKnown(named.replaceAll('_', '-'))
  if (key !== undefined && !isKey(key)) throw invalidParameter('key')
  if (wellKnown === undefined) throw invalidParameter('wellKnown')
  if (key === undefined && named === undefined) throw invalidParameter('key')
  if (key !== undefined && !takesKey(wellKnown)) throw invalidParameter('key')
  const { interface: index, refreshUSec, cache, firewallMark, wait } = parameters
  return {
    wellKnown,
    key,
    request: {
      interfaceIndex: inRange(index, 'interface', 1, MAX_INTERFACE),
      refreshUSec: Math.max(MIN_REFRESH_USEC, inRange(refreshUSec, 'refreshUSec', 0) ?? DEFAULT_REFRESH_USEC),
      cache: cache !== false,
      // To say that there is none is not the same as to say nothing.
      mark: firewallMark === null ? undefined : (inRange(firewallMark, 'firewallMark', 0, MAX_MARK) ?? DEFAULT_MARK),
      wait: wait === true,
    },
  }
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

function inRange(value: unknown, name: string, min: number, max = Number.MAX_VALUE): number | undefined {
  if (value === undefined || value === null) return undefined
  const number = Number(value)
  if (number < min || number > max) throw invalidParameter(name)
  return number
}
