import type { Instance, NetworkInterface, Overrides, Provider } from '../cloud/index.ts'
import { DEFAULT_SPEC, hostAddress, IPV4_SUBNET } from '../machine/index.ts'

/** Address of the first card of a machine: one of the cloud's own, by which some clients look for it; any without a cloud. */
export function macAddressIn(provider: Provider | undefined): string {
  return provider?.instance().interfaces[0].mac ?? DEFAULT_SPEC.macAddress
}

/** An instance whose one card is that of a machine in a network made by {@link openScene}. */
export function instanceIn(provider: Provider, macAddress: string, overrides: Overrides<Instance> = {}): Instance {
  const card: NetworkInterface = {
    mac: macAddress,
    ipv4: hostAddress(0),
    ipv4Subnet: IPV4_SUBNET,
    publicIpv4: provider.hasPublicAddressOnCard === true ? hostAddress(0) : '203.0.113.10',
    // With one, nothing that systemd asks for is absent: 262 takes the 404 of an absent key for a broken service.
    ipv6: ['2001:db8:b007::10'],
    ipv6Subnet: '2001:db8:b007::/64',
  }
  return provider.instance({ interfaces: [card], ...overrides })
}
