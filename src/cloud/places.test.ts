import { expect, it } from 'vitest'
import { cloudNamed } from './clouds.ts'
import { movedTo, overIpv6Only } from './places.ts'

it('overIpv6Only() leaves the addresses of IPv4 away', () => {
  expect(overIpv6Only(cloudNamed('aws')).endpoints).toEqual([
    { name: 'imds', ipv4: undefined, ipv6: 'fd00:ec2::254', port: 80 },
  ])
  expect(() => overIpv6Only(cloudNamed('google'))).toThrow('Google Compute Engine has no metadata service over IPv6')
})

it('movedTo() moves the metadata service, and nothing else', () => {
  const [metadata, wireServer] = movedTo(cloudNamed('azure'), '169.254.1.1').endpoints
  expect(metadata).toMatchObject({ ipv4: '169.254.1.1', port: 80 })
  expect(wireServer).toMatchObject({ ipv4: '168.63.129.16' })
  expect(() => movedTo(cloudNamed('azure'), 'there')).toThrow('Expected an IPv4 address')
})
