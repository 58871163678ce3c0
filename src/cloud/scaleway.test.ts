import { describe, expect, it } from 'vitest'
import { ask, type Question } from './ask.test-support.ts'
import { scaleway, scalewayInstance } from './scaleway.ts'

const instance = scalewayInstance({ userData: Buffer.from('#cloud-config\n'), otherUserData: { key: 'value' } })
const get = (target: string, question: Question = {}, of = instance) =>
  ask(scaleway, target, of, { peerPort: 1023, ...question })

describe('scaleway', () => {
  it('has its configuration as JSON and for shells', () => {
    const document = JSON.parse(get('/conf?format=json').text)
    expect(document).toMatchObject({
      id: instance.id,
      hostname: 'bootwright',
      commercial_type: 'DEV1-S',
      location: { zone_id: 'fr-par-1' },
      public_ip: { address: '203.0.113.10', family: 'inet' },
      ssh_public_keys: [{ key: instance.sshKeys[0]?.openssh }],
    })
    const { text, type } = get('/conf')
    expect(type).toBe('text/plain; charset=utf-8')
    expect(text).toContain('\nHOSTNAME=bootwright\n')
    expect(text).toContain(`\nSSH_PUBLIC_KEYS=1\n`)
    expect(text).toContain(`\nSSH_PUBLIC_KEYS_0_KEY='${instance.sshKeys[0]?.openssh}'\n`)
    expect(text).toContain('\nPUBLIC_IP_ADDRESS=203.0.113.10\n')
  })

  it('has no private address where the public one is on the card', () => {
    const [nic] = instance.interfaces
    const direct = scalewayInstance({ interfaces: [{ ...nic, publicIpv4: nic.ipv4 }] })
    const conf = (of: typeof instance) => JSON.parse(get('/conf?format=json', {}, of).text)
    expect(conf(instance)).toMatchObject({ private_ip: nic.ipv4, public_ip: { address: '203.0.113.10' } })
    expect(conf(direct)).toMatchObject({ private_ip: null, public_ip: { address: nic.ipv4, gateway: '62.210.0.1' } })
  })

  it('gives user data to those who send from a port that only root can use', () => {
    for (const path of ['/user_data', '/user_data/cloud-init', '/user_data/key']) {
      expect(get(path).status, path).toBe(200)
      expect(get(path, { peerPort: 1024 }).status, path).toBe(403)
    }
    expect(get('/conf', { peerPort: 1024 }).status).toBe(200)
    // The next request may come from the same port.
    expect(get('/user_data/key').headers).toContainEqual(['Connection', 'close'])
    expect(get('/conf').headers).not.toContainEqual(['Connection', 'close'])
  })

  it('lists the keys of user data, or gives what systemd takes for them', () => {
    expect(JSON.parse(get('/user_data').text)).toEqual({ user_data: ['cloud-init', 'key'] })
    expect(get('/user_data', { setting: { hasHwdbPaths: true } }).text).toBe('#cloud-config\n')
    expect(get('/user_data/cloud-init').text).toBe('#cloud-config\n')
    expect(get('/user_data/other').status).toBe(404)
    expect(get('/user_data/constructor').status).toBe(404)
  })

  it('lets the guest write and delete them', () => {
    const written = get('/user_data/new', { method: 'PATCH', body: 'text' })
    expect(written.status).toBe(204)
    const then = written.next as typeof instance
    expect(get('/user_data/new', {}, then).text).toBe('text')
    const deleted = get('/user_data/new', { method: 'DELETE' }, then).next as typeof instance
    expect(get('/user_data/new', {}, deleted).status).toBe(404)
    const without = get('/user_data/cloud-init', { method: 'DELETE' }).next as typeof instance
    expect(get('/user_data/cloud-init', {}, without).status).toBe(404)
    expect(get('/user_data/other', { method: 'DELETE' }).status).toBe(404)
    expect(get('/user_data/a%20b', { method: 'PATCH' }).status).toBe(400)
    expect(get('/user_data/key', { method: 'PUT' }).status).toBe(405)
  })

  it('answers at the root, by which cloud-init sees that it is there', () => {
    expect(get('/', { peerPort: 1024 }).status).toBe(200)
    expect(get('/', { method: 'POST' }).status).toBe(405)
  })

  it('has vendor data only where there are some', () => {
    expect(get('/vendor_data/cloud-init').status).toBe(404)
    expect(get('/vendor_data/cloud-init', {}, scalewayInstance({ vendorData: 'x' })).text).toBe('x')
  })

  it('is told how the boot went', () => {
    const { next, status } = get('/state', { method: 'PATCH', body: '{"state_detail":"booted"}' })
    expect(status).toBe(204)
    expect((next as typeof instance).state).toBe('booted')
    for (const body of ['', '{}', '{"state_detail":1}', 'null']) {
      expect(get('/state', { method: 'PATCH', body }).status, body).toBe(400)
    }
    expect(get('/state').status).toBe(405)
  })

  it.for([
    ['tags', { tags: { Name: 'x' } }],
    ['a zone of its region', { region: 'nl-ams', zone: 'fr-par-1' }],
    ['besides cloud-init', { otherUserData: { 'cloud-init': '' } }],
    ['a UUID', { id: '1' }],
  ] as const)('refuses what is not %s', ([expected, overrides]) => {
    expect(() => scalewayInstance(overrides as Parameters<typeof scalewayInstance>[0])).toThrow(expected)
  })
})
