import { describe, expect, it } from 'vitest'
import { ask, type Question } from './ask.test-support.ts'
import { digitalocean, digitaloceanInstance } from './digitalocean.ts'
import { headerValue } from './provider.ts'

const instance = digitaloceanInstance({ userData: Buffer.from('#cloud-config\n') })
const get = (path: string, question: Question = {}, of = instance) => ask(digitalocean, path, of, question)

describe('digitalocean', () => {
  it('has everything as JSON', () => {
    expect(JSON.parse(get('/metadata/v1.json').text)).toMatchObject({
      droplet_id: 70_070_070,
      user_data: '#cloud-config\n',
      interfaces: { public: [{ ipv4: { ip_address: '203.0.113.10' }, anchor_ipv4: { ip_address: '172.31.16.10' } }] },
      floating_ip: { ipv4: { active: false } },
      tags: ['bootwright'],
    })
    expect(JSON.parse(get('/metadata/v1.json', {}, digitaloceanInstance()).text)).not.toHaveProperty('user_data')
  })

  it.for([
    ['id', '70070070'],
    ['hostname', 'bootwright'],
    ['region', 'fra1'],
    ['user-data', '#cloud-config\n'],
    ['public-keys', instance.sshKeys[0]?.openssh],
    ['interfaces/', 'public/'],
    ['interfaces/public/0/', 'ipv4/\nipv6/\nanchor_ipv4/\nmac\ntype'],
    ['interfaces/public/0/ipv4/ip_address', '203.0.113.10'],
    ['interfaces/public/0/ipv6/cidr', '64'],
    ['dns/nameservers', '67.207.67.2\n67.207.67.3'],
    ['features/dhcp_enabled', 'true'],
    ['floating_ip/ipv4/active', 'false'],
    ['tags', 'bootwright'],
  ] as const)('has %s as text', ([name, text]) => {
    expect(get(`/metadata/v1/${name}`)).toMatchObject({ status: 200, text })
  })

  it('sends a directory without its slash there', () => {
    const answer = get('/metadata/v1/dns', { headers: [['Host', 'x']] })
    expect(answer.status).toBe(301)
    expect(headerValue(answer.headers, 'location')).toBe('http://x/metadata/v1/dns/')
    expect(get('/metadata/v1/').text).toMatch(/^id\nhostname\n/)
  })

  it('has an anchor of its own beside a public address that is on the card', () => {
    const [nic] = instance.interfaces
    const direct = digitaloceanInstance({ interfaces: [{ ...nic, publicIpv4: nic.ipv4 }] })
    const public0 = (of: typeof instance) => JSON.parse(get('/metadata/v1.json', {}, of).text).interfaces.public[0]
    expect(public0(instance)).toMatchObject({
      ipv4: { ip_address: '203.0.113.10' },
      anchor_ipv4: { ip_address: '172.31.16.10' },
    })
    expect(public0(direct)).toMatchObject({
      ipv4: { ip_address: '172.31.16.10' },
      anchor_ipv4: { ip_address: '10.19.0.5' },
    })
  })

  it('has an address for a time', () => {
    const reserved = digitaloceanInstance({ reservedIpv4: '198.51.100.7' })
    expect(get('/metadata/v1/reserved_ip/ipv4/ip_address', {}, reserved).text).toBe('198.51.100.7')
  })

  it('has nothing else, and answers GET only', () => {
    for (const path of ['/', '/metadata/v1/other', '/metadata/v1/id/', '/metadata/v2/id', '/metadata/v1/%']) {
      expect(get(path).status, path).toBe(404)
    }
    expect(get('/metadata/v1/id', { method: 'DELETE' }).status).toBe(405)
  })

  it('refuses what it could not describe', () => {
    expect(() => digitaloceanInstance({ zone: 'ams3' })).toThrow('no zone besides its region')
    expect(() => digitaloceanInstance({ tags: { Name: 'x' } })).toThrow('tags of letters')
  })
})
