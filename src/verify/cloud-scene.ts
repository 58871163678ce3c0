import { randomBytes } from 'node:crypto'
import {
  cloudNamed,
  type FaultRule,
  type Instance,
  LiveInstance,
  type MetadataService,
  type NetworkInterface,
  type Provider,
  serveMetadata,
} from '../cloud/index.ts'
import { hostAddress, IPV4_SUBNET, PrivateNetwork } from '../machine/index.ts'
import type { Toolchain } from '../toolchain/index.ts'
import type { CheckedCloud } from './check.ts'

/** Name of the credential that `verify` puts into the user data, to see it arrive. */
const PROBE_CREDENTIAL = 'bootwright.probe'

/** The instance that `verify` starts in a cloud: user data in systemd's format, with one credential to be imported. */
export function verifiedInstance(
  provider: Provider,
  macAddress: string,
): { instance: Instance; credentials: Record<string, string> } {
  const credentials = { [PROBE_CREDENTIAL]: randomBytes(16).toString('hex') }
  const card: NetworkInterface = {
    mac: macAddress,
    ipv4: hostAddress(0),
    ipv4Subnet: IPV4_SUBNET,
    publicIpv4: '203.0.113.10',
    // With one, nothing that systemd asks for is absent: 262 takes the 404 of an absent key for a broken service.
    ipv6: ['2001:db8:b007::10'],
    ipv6Subnet: '2001:db8:b007::/64',
  }
  const userData = JSON.stringify({
    'systemd.credentials': Object.entries(credentials).map(([name, text]) => ({ name, text })),
  })
  const instance = provider.instance({ interfaces: [card], userData: Buffer.from(userData) })
  return { instance, credentials }
}

/** A private network with a cloud's metadata service at its real addresses; leaving the scope ends both. */
export interface CloudScene extends AsyncDisposable {
  readonly network: PrivateNetwork
  readonly cloud: CheckedCloud | undefined
}

export interface CloudSceneOptions {
  readonly toolchain: Toolchain
  /** For logs and leases. */
  readonly directory: string
  /** None: the network has DHCP and DNS, but no metadata service. */
  readonly cloud: string | undefined
  readonly macAddress: string
  readonly faults?: readonly FaultRule[]
  readonly signal?: AbortSignal | undefined
}

export async function openCloudScene(options: CloudSceneOptions): Promise<CloudScene> {
  const provider = options.cloud === undefined ? undefined : cloudNamed(options.cloud)
  const endpoints = provider?.endpoints ?? []
  const addresses = endpoints.flatMap(({ ipv4, ipv6 }) => [ipv4, ipv6].filter((address) => address !== undefined))
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
  let cloud: CheckedCloud | undefined
  if (provider !== undefined) {
    const { instance, credentials } = verifiedInstance(provider, options.macAddress)
    const service: MetadataService = scope.use(await serve(network, provider, instance, options.faults ?? []))
    cloud = { provider, instance, service, credentials }
  }
  const owned = scope.move()
  return { network, cloud, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

async function serve(
  network: PrivateNetwork,
  provider: Provider,
  instance: Instance,
  faults: readonly FaultRule[],
): Promise<MetadataService> {
  const listening = provider.endpoints.flatMap(({ ipv4, ipv6, port }) =>
    [ipv4, ipv6].filter((address) => address !== undefined).map((address) => network.listen(address, port)),
  )
  const outcomes = await Promise.allSettled(listening)
  const servers = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []))
  const failure = outcomes.find((outcome) => outcome.status === 'rejected')
  if (failure !== undefined) {
    for (const server of servers) server.close()
    throw failure.reason
  }
  return serveMetadata(provider, new LiveInstance(instance), servers, { faults })
}
