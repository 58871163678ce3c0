import { describe, expect, it } from 'vitest'
import { ask, type Question } from './ask.test-support.ts'
import type { NetworkInterface } from './instance.ts'
import { primaryInterface } from './instance-parts.ts'
import { vultr, vultrInstance } from './vultr.ts'

const interfaces = [
  primaryInterface('56:00:02:b0:07:01'),
  { ...primaryInterface('5a:00:02:b0:07:01'), ipv6: [] },
] as unknown as [NetworkInterface]
const instance = vultrInstance({ userData: Buffer.from('#cloud-config\na: b\n'), interfaces })
const get = (path: string, question: Question = {}, of = instance) => ask(vultr, path, of, question)

describe('vultr', () => {
  it('has everything as JSON', () => {
    const { text, type } = get('/v1.json')
    expect(type).toBe('application/json')
    expect(JSON.parse(text)).toMatchObject({
      hostname: 'bootwright',
      'instance-v2-id': instance.v2Id,
      interfaces: [
        {
          ipv4: { address: '203.0.113.10' },
          ipv6: { network: '2001:db8:1f:10::', prefix: '64' },
          'network-type': 'public',
        },
        {
          ipv4: { address: '172.31.16.10' },
          ipv6: { additional: [], address: '', network: '', prefix: '' },
          'network-type': 'private',
          networkid: 'net1',
        },
      ],
      region: { regioncode: 'FRA', countrycode: 'DE' },
      'user-data': ['#cloud-config', 'a: b', ''],
      'vendor-data': '',
    })
  })

  it('gives cloud-init, which says who it is, user data as one text', () => {
    const headers = [['Metadata-Token', 'cloudinit']] as const
    const userData = (of: typeof instance) => JSON.parse(get('/v1.json', { headers }, of).text)['user-data']
    expect(userData(instance)).toBe('#cloud-config\na: b\n')
    expect(userData(vultrInstance())).toBe('')
    expect(JSON.parse(get('/v1.json', { headers: [['Metadata-Token', 'other']] }).text)['user-data']).toHaveLength(3)
  })

  it.for([
    ['hostname', 'bootwright'],
    ['instanceid', '70070070'],
    ['region/regioncode', 'FRA'],
    ['region/', 'countrycode\nregioncode'],
    ['interfaces/', '0/\n1/'],
    ['interfaces/0/ipv4/address', '203.0.113.10'],
    ['interfaces/0/ipv6/address', '2001:db8:1f:10::10'],
    ['public-keys', instance.sshKeys[0]?.openssh],
    ['user-data', '#cloud-config\na: b\n'],
  ] as const)('has %s as text', ([name, text]) => {
    expect(get(`/v1/${name}`)).toMatchObject({ status: 200, text })
  })

  it('lists the root', () => {
    expect(get('/v1/').text).toMatch(/^bgp\/\nhostname\n[\s\S]*\ninterfaces\/\n[\s\S]*\npublic-keys\n/)
  })

  it("has user data of its own, and where systemd's hwdb looks for them only when asked to", () => {
    expect(get('/latest/user-data').text).toBe('#cloud-config\na: b\n')
    expect(get('/user-data/user-data').status).toBe(404)
    expect(get('/user-data/user-data', { setting: { hasHwdbPaths: true } }).status).toBe(200)
    expect(get('/latest/user-data', {}, vultrInstance()).status).toBe(404)
  })

  it('has nothing else, and answers GET only', () => {
    expect(get('/v1/other').status).toBe(404)
    expect(get('/v1/region/__proto__').status).toBe(404)
    expect(get('/v1/interfaces/2').status).toBe(404)
    expect(get('/v1.json', { method: 'POST' }).status).toBe(405)
  })

  it('refuses user data that is no text', () => {
    expect(() => vultrInstance({ userData: Buffer.from([0xff]) })).toThrow('user data in UTF-8')
  })
})
