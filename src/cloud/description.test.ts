import { describe, expect, it } from 'vitest'
import { clouds } from './clouds.ts'
import { describedInstance } from './description.ts'

describe.for([...clouds.values()])('an instance of $name described in JSON', (cloud) => {
  it('is what is described', () => {
    const description = { ...cloud.instance(), hostname: 'web-1', userData: '{}' }
    const instance = describedInstance(cloud, JSON.parse(JSON.stringify(description)))
    expect(instance).toEqual({ ...cloud.instance(), hostname: 'web-1', userData: Buffer.from('{}') })
    expect(describedInstance(cloud, {})).toEqual(cloud.instance())
  })

  it('may have an interface with less than the usual one', () => {
    const { publicIpv4: _public, ipv6Subnet: _subnet, ...nic } = cloud.instance().interfaces[0]
    expect(describedInstance(cloud, { interfaces: [{ ...nic, ipv6: [] }] }).interfaces).toEqual([{ ...nic, ipv6: [] }])
  })

  it.for([
    [null, 'an object of fields, found null'],
    [[], 'an object of fields, found array'],
    ['x', 'an object of fields, found string'],
    [{ hostname: 1 }, 'a string as hostname, found number'],
    [{ userData: 1 }, 'text as userData, found number'],
    [{ interfaces: 5 }, 'an array as interfaces, found number'],
    [{ interfaces: [null] }, 'a object as interfaces[0], found null'],
    [{ interfaces: [{ mac: '02:00:00:00:00:01' }] }, 'a string as interfaces[0].ipv4, found undefined'],
    [{ sshKeys: [{ name: 'x' }] }, 'a string as sshKeys[0].openssh, found undefined'],
    [{ tags: { a: 1 } }, 'a string as tags.a, found number'],
    [{ tags: [] }, 'a object as tags, found array'],
    [{ hostname: null }, 'a string as hostname, found null'],
    [{ colour: 'red' }, 'has no colour'],
    [{ interfaces: [] }, 'network interfaces, found 0'],
  ] as const)('is refused as %j', ([json, expected]) => {
    expect(() => describedInstance(cloud, json)).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', message: expect.stringContaining(expected) }),
    )
  })
})
