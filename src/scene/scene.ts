import type { Server } from 'node:net'
import {
  type FaultRule,
  type Instance,
  LiveInstance,
  type MetadataEndpoint,
  type MetadataService,
  PLAIN_DHCP,
  type Provider,
  serveMetadata,
} from '../cloud/index.ts'
import { hostAddress, PrivateNetwork } from '../machine/index.ts'
import type { Toolchain } from '../toolchain/index.ts'
import { cloudSigner } from './cloud-authority.ts'

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
  /**
   * Whether values are also where systemd's hwdb looks for them though the cloud itself has them elsewhere; true without,
   * as systemd 262 takes the answer that a key is absent for a broken service where it has a body.
   */
  readonly hasHwdbPaths?: boolean
  /** What goes wrong with the metadata service from the start. */
  readonly faults?: readonly FaultRule[]
  readonly signal?: AbortSignal | undefined
}

export async function openScene(options: SceneOptions): Promise<Scene> {
  const { provider, instance } = options.cloud ?? {}
  const addresses = addressesOf(provider?.endpoints)
  await using scope = new AsyncDisposableStack()
  const network = scope.use(
    await PrivateNetwork.open(options.toolchain, {
      directory: options.directory,
      addresses,
      names: Object.fromEntries(
        (provider?.dnsNames ?? []).map((name) => [name, addressesOf(provider?.endpoints.slice(0, 1))]),
      ),
      dhcp: provider?.dhcp ?? PLAIN_DHCP,
      hosts: [{ macAddress: options.macAddress, ipv4: hostAddress(0) }],
      signal: options.signal,
    }),
  )
  let cloud: SceneCloud | undefined
  if (provider !== undefined && instance !== undefined) {
    const live = new LiveInstance(instance)
    const servers = await listen(network, provider)
    const service = scope.use(
      await serveMetadata(provider, live, servers, {
        faults: options.faults ?? [],
        hasHwdbPaths: options.hasHwdbPaths ?? true,
        signer: await cloudSigner(),
      }),
    )
    cloud = { provider, instance: live, service }
  }
  const owned = scope.move()
  return { network, cloud, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

/** Each once: several endpoints of an address differ by their port. */
function addressesOf(endpoints: readonly MetadataEndpoint[] = []): string[] {
  const all = endpoints.flatMap(({ ipv4, ipv6 }) => [ipv4, ipv6].filter((address) => address !== undefined))
  return [...new Set(all)]
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
