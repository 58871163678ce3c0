import type { Server } from 'node:net'
import {
  type FaultRule,
  type Instance,
  LiveInstance,
  type MetadataService,
  type Provider,
  serveMetadata,
} from '../cloud/index.ts'
import { hostAddress, PrivateNetwork } from '../machine/index.ts'
import type { Toolchain } from '../toolchain/index.ts'

/** Where a machine is: a network of its own, and the metadata service of its cloud in it. Leaving the scope ends both. */
export interface Scene extends AsyncDisposable {
  readonly network: PrivateNetwork
  readonly cloud: SceneCloud | undefined
}

export interface SceneCloud {
  readonly provider: Provider
  readonly instance: LiveInstance<Instance>
  readonly service: MetadataService
}

export interface SceneOptions {
  readonly toolchain: Toolchain
  /** For dnsmasq's log and leases. */
  readonly directory: string
  /** None: the network has DHCP and DNS, but no metadata service. */
  readonly cloud: { readonly provider: Provider; readonly instance: Instance } | undefined
  readonly macAddress: string
  /** What goes wrong with the metadata service from the start. */
  readonly faults?: readonly FaultRule[]
  readonly signal?: AbortSignal | undefined
}

export async function openScene(options: SceneOptions): Promise<Scene> {
  const { provider, instance } = options.cloud ?? {}
  const addresses = (provider?.endpoints ?? []).flatMap(({ ipv4, ipv6 }) =>
    [ipv4, ipv6].filter((address) => address !== undefined),
  )
  await using scope = new AsyncDisposableStack()
  const network = scope.use(
    await PrivateNetwork.open(options.toolchain, {
      directory: options.directory,
      addresses,
      names: Object.fromEntries((provider?.dnsNames ?? []).map((name) => [name, addresses])),
      hosts: [{ macAddress: options.macAddress, ipv4: hostAddress(0) }],
      signal: options.signal,
    }),
  )
  let cloud: SceneCloud | undefined
  if (provider !== undefined && instance !== undefined) {
    const live = new LiveInstance(instance)
    const servers = await listen(network, provider)
    const service = scope.use(await serveMetadata(provider, live, servers, { faults: options.faults ?? [] }))
    cloud = { provider, instance: live, service }
  }
  const owned = scope.move()
  return { network, cloud, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

async function listen(network: PrivateNetwork, provider: Provider): Promise<Server[]> {
  const listening = provider.endpoints.flatMap(({ ipv4, ipv6, port }) =>
    [ipv4, ipv6].filter((address) => address !== undefined).map((address) => network.listen(address, port)),
  )
  const outcomes = await Promise.allSettled(listening)
  const servers = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []))
  const failure = outcomes.find((outcome) => outcome.status === 'rejected')
  if (failure === undefined) return servers
  for (const server of servers) server.close()
  throw failure.reason
}
