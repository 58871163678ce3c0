import { describe, expect, it } from 'vitest'
import { ask, type Question } from './ask.test-support.ts'
import type { NetworkInterface } from './instance.ts'
import { primaryInterface } from './instance-parts.ts'
import { upcloud, upcloudInstance } from './upcloud.ts'

const instance = upcloudInstance({ userData: Buffer.from('#cloud-config\n') })
const get = (path: string, question: Question = {}, of = instance) => ask(upcloud, path, of, question)

describe('upcloud', () => {
  it('has everything as JSON', () => {
    expect(JSON.parse(get('/metadata/v1.json').text)).toMatchObject({
      cloud_name: 'upcloud',
      instance_id: instance.id,
      region: 'de-fra1',
      public_keys: [instance.sshKeys[0]?.openssh],
      network: { interfaces: [{ index: 1, mac: '3a:d6:ba:b0:07:01', type: 'public' }] },
      storage: { disks: [{ size: 10_240, serial: expect.stringMatching(/^[0-9a-f]{20}$/) }] },
      tags: ['bootwright'],
      user_data: '#cloud-config\n',
    })
    expect(JSON.parse(get('/metadata/v1.json', {}, upcloudInstance()).text).user_data).toBe('')
  })

  it('has private networks behind the public one', () => {
    const two = [...instance.interfaces, { ...primaryInterface('3a:d6:ba:b0:07:02'), ipv4: '10.0.0.2' }]
    const of = upcloudInstance({ interfaces: two as unknown as [NetworkInterface] })
    const { interfaces } = JSON.parse(get('/metadata/v1.json', {}, of).text).network
    expect(interfaces).toMatchObject([
      {
        ip_addresses: [
          { address: '203.0.113.10', family: 'IPv4' },
          { family: 'IPv6', network: '2001:db8:1f:10::/64' },
        ],
      },
      { index: 2, ip_addresses: [{ address: '10.0.0.2' }, {}], type: 'private' },
    ])
  })

  it.for([
    ['hostname', 'bootwright'],
    ['instance_id', instance.id],
    ['public_keys', instance.sshKeys[0]?.openssh],
    ['user_data', '#cloud-config\n'],
    ['network/dns', '94.237.127.9\n94.237.40.9'],
    ['network/', 'interfaces/\ndns'],
  ] as const)('has %s as text', ([name, text]) => {
    expect(get(`/metadata/v1/${name}`)).toMatchObject({ status: 200, text })
  })

  it('has nothing else, and is known by the identifier of its system', () => {
    for (const path of ['/', '/metadata/v2', '/metadata/v1/other']) expect(get(path).status, path).toBe(404)
    expect(get('/metadata/v1.json', { method: 'PUT' }).status).toBe(405)
    expect(upcloud.smbios(instance).system).toMatchObject({ manufacturer: 'UpCloud', uuid: instance.id })
    expect(() => upcloudInstance({ region: 'a', zone: 'b' })).toThrow('one name for region and zone')
    expect(() => upcloudInstance({ userData: Buffer.of(0xff) })).toThrow('UTF-8')
  })
})
