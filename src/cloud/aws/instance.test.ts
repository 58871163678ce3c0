import { describe, expect, it } from 'vitest'
import { awsInstance, derivedId, MAX_USER_DATA_BYTES } from './instance.ts'

const [nic] = awsInstance().interfaces

const withTags = { ...awsInstance().metadataOptions, instanceMetadataTags: 'enabled' } as const

describe('awsInstance()', () => {
  it('gives the same instance each time', () => {
    expect(awsInstance()).toEqual(awsInstance())
  })

  it('derives zone and host name from region and address', () => {
    const { zone, zoneId, hostname } = awsInstance({
      region: 'ap-southeast-2',
      interfaces: [{ ...nic, ipv4: '10.1.2.3' }],
    })
    expect({ zone, zoneId, hostname }).toEqual({
      zone: 'ap-southeast-2a',
      zoneId: 'apse2-az1',
      hostname: 'ip-10-1-2-3.ap-southeast-2.compute.internal',
    })
  })

  it('knows the domain of the oldest region', () => {
    expect(awsInstance({ region: 'us-east-1' })).toMatchObject({
      hostname: 'ip-172-31-16-10.ec2.internal',
      zoneId: 'use1-az1',
    })
  })

  it('takes what is wished over what is derived, also when it is nothing', () => {
    expect(awsInstance({ hostname: 'web.example', role: undefined })).toMatchObject({
      hostname: 'web.example',
      role: undefined,
    })
  })

  it('takes as much user data as EC2, and not a byte more', () => {
    expect(awsInstance({ userData: new Uint8Array(MAX_USER_DATA_BYTES) }).userData).toHaveLength(MAX_USER_DATA_BYTES)
    expect(() => awsInstance({ userData: new Uint8Array(MAX_USER_DATA_BYTES + 1) })).toThrow(
      'at most 16384 bytes of user data, found 16385',
    )
  })

  it('restricts tags only where the metadata offers them', () => {
    expect(awsInstance({ tags: { 'a/b c': 'x' } }).tags).toEqual({ 'a/b c': 'x' })
  })

  it.for([
    ['a hop limit', { metadataOptions: { ...awsInstance().metadataOptions, httpPutResponseHopLimit: 65 } }],
    ['a hop limit', { metadataOptions: { ...awsInstance().metadataOptions, httpPutResponseHopLimit: 0 } }],
    ['an instance id', { id: '../etc' }],
    ['a host name', { hostname: 'two\nlines' }],
    ['a lower-case MAC', { interfaces: [{ ...nic, mac: '06:B0:07:00:00:01' }] }],
    ['a role name', { role: 'a/b' }],
    ['one line for each SSH key', { sshKeys: [{ name: 'a', openssh: 'ssh-ed25519 AAAA\n' }] }],
    ['tag keys', { tags: { 'a/b': '' }, metadataOptions: withTags }],
    ['tag keys', { tags: { '..': '' }, metadataOptions: withTags }],
    ['an IPv4 address', { interfaces: [{ ...nic, ipv4: '10.0.0.256' }] }],
    ['an IPv4 address', { interfaces: [{ ...nic, publicIpv4: 'here' }] }],
    ['an IPv6 address', { interfaces: [{ ...nic, ipv6: ['10.0.0.1'] }] }],
  ] as const)('refuses what is not %s: %j', ([expected, overrides]) => {
    expect(() => awsInstance(overrides as Parameters<typeof awsInstance>[0])).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', message: expect.stringContaining(expected) }),
    )
  })
})

it('derivedId() has the long format and depends on the seed', () => {
  expect(derivedId('eni', 'a')).toMatch(/^eni-[0-9a-f]{17}$/)
  expect(derivedId('eni', 'a')).not.toBe(derivedId('eni', 'b'))
})
