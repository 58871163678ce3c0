import { describe, expect, it } from 'vitest'
import { ask, type Question } from './ask.test-support.ts'
import { hetzner, hetznerInstance } from './hetzner.ts'
import type { NetworkInterface } from './instance.ts'
import { primaryInterface } from './instance-parts.ts'

const instance = hetznerInstance({ userData: Buffer.from([0xff, 0]) })
const get = (path: string, question: Question = {}, of = instance) => ask(hetzner, path, of, question)
const value = (name: string) => get(`/hetzner/v1/metadata/${name}`).text

describe('hetzner', () => {
  it.for([
    ['hostname', 'bootwright'],
    ['instance-id', '70070070'],
    ['region', 'eu-central'],
    ['availability-zone', 'fsn1-dc14'],
    ['public-ipv4', '203.0.113.10'],
    ['local-ipv4', '172.31.16.10'],
  ] as const)('has %s: %j', ([name, text]) => {
    expect(value(name)).toBe(text)
  })

  it('has everything in one YAML document', () => {
    const { text, type } = get('/hetzner/v1/metadata')
    expect(type).toBe('text/yaml; charset=utf-8')
    expect(text).toMatch(/^hostname: bootwright$/m)
    expect(text).toMatch(/^instance-id: 70070070$/m)
    expect(text).toMatch(/^public-keys:\n- "?ssh-ed25519 /m)
    expect(text).toMatch(/^ {4}- ipv4: true\n {6}type: dhcp$/m)
    expect(get('/hetzner/v1/metadata/').text).toBe(text)
  })

  it('has keys as JSON, and private networks as YAML', () => {
    expect(JSON.parse(value('public-keys'))).toEqual([instance.sshKeys[0]?.openssh])
    expect(value('private-networks')).toBe('[]\n')
    const two = [...instance.interfaces, { ...primaryInterface('96:00:02:b0:07:02'), ipv4: '10.0.0.2' }]
    const interfaces = two as unknown as [NetworkInterface]
    expect(get('/hetzner/v1/metadata/private-networks', {}, hetznerInstance({ interfaces })).text).toMatch(
      /^- ip: "10\.0\.0\.2"\n {2}alias_ips: \[\]\n {2}interface_num: 2\n {2}mac_address: "96:00:02:b0:07:02"$/m,
    )
  })

  it('has user data as they are, and no content where there are none', () => {
    expect(get('/hetzner/v1/userdata').status).toBe(200)
    expect(get('/hetzner/v1/userdata', {}, hetznerInstance())).toMatchObject({ status: 204, text: '' })
  })

  it("has what systemd's hwdb names elsewhere only when asked to", () => {
    const setting = { hasHwdbPaths: true }
    for (const name of ['userdata', 'public-keys/0']) {
      expect(get(`/hetzner/v1/metadata/${name}`).status, name).toBe(404)
      expect(get(`/hetzner/v1/metadata/${name}`, { setting }).status, name).toBe(200)
    }
    expect(get('/hetzner/v1/metadata/public-keys/1', { setting }).status).toBe(404)
  })

  it('has nothing else, and answers GET only', () => {
    expect(get('/hetzner/v1/metadata/other').status).toBe(404)
    expect(get('/').status).toBe(404)
    expect(get('/hetzner/v1/metadata', { method: 'POST' }).status).toBe(405)
  })

  it('is an instance whose serial number is its identifier, in a region of its zone', () => {
    expect(hetzner.smbios(instance).system.serialNumber).toBe(instance.id)
    expect(hetznerInstance({ zone: 'ash-dc1' }).region).toBe('us-east')
    expect(() => hetznerInstance({ id: 'server' })).toThrow('decimal digits')
  })
})
