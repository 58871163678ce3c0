import { describe, expect, it } from 'vitest'
import { clouds } from './clouds.ts'
import type { Instance, NetworkInterface, Overrides } from './instance.ts'
import { derivedUuid, ipv4Subnet, UUID } from './instance-parts.ts'

it.for([
  ['172.31.16.0/20', { network: '172.31.16.0', netmask: '255.255.240.0', length: 20, gateway: '172.31.16.1' }],
  ['10.1.2.3/24', { network: '10.1.2.0', netmask: '255.255.255.0', length: 24, gateway: '10.1.2.1' }],
  ['203.0.113.9/32', { network: '203.0.113.9', netmask: '255.255.255.255', length: 32, gateway: '203.0.113.10' }],
  ['0.0.0.0/0', { network: '0.0.0.0', netmask: '0.0.0.0', length: 0, gateway: '0.0.0.1' }],
] as const)('ipv4Subnet(%j)', ([cidr, subnet]) => {
  expect(ipv4Subnet(cidr)).toEqual(subnet)
})

it('derivedUuid() is a UUID, the same for the same seed', () => {
  expect(derivedUuid('a')).toMatch(UUID.pattern)
  expect(derivedUuid('a')).toBe(derivedUuid('a'))
  expect(derivedUuid('a')).not.toBe(derivedUuid('b'))
})

describe.for([...clouds.values()])('an instance of $name', (cloud) => {
  const instance = cloud.instance()
  const [nic] = instance.interfaces

  it('is the same each time, and may be made of itself', () => {
    expect(cloud.instance()).toEqual(instance)
    expect(cloud.instance(instance)).toEqual(instance)
  })

  it.for([
    ['has no colour', { colour: 'red' }],
    ['a host name', { hostname: 'two\nlines' }],
    ['an IPv4 address', { interfaces: [{ ...nic, ipv4: '10.0.0.256' }] }],
    ['an IPv4 subnet', { interfaces: [{ ...nic, ipv4Subnet: '10.0.0.0' }] }],
    ['an IPv6 address', { interfaces: [{ ...nic, ipv6: ['10.0.0.1'] }] }],
    ['a lower-case MAC address', { interfaces: [{ ...nic, mac: 'AA:00:00:00:00:00' }] }],
    ['network interfaces', { interfaces: [] }],
    ['network interfaces', { interfaces: Array<NetworkInterface>(16).fill(nic) }],
    ['an instance id', { id: '../etc' }],
    ['a type', { type: 'a b' }],
    ['bytes of user data', { userData: new Uint8Array(300_000) }],
    ['one line for each SSH key', { sshKeys: [{ name: 'a', openssh: 'ssh-ed25519 AAAA\n' }] }],
  ] as const)('refuses what is not %s: %j', ([expected, overrides]) => {
    expect(() => cloud.instance(overrides as unknown as Overrides<Instance>)).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', message: expect.stringContaining(expected) }),
    )
  })
})
