import { describe, expect, it } from 'vitest'
import { ask, type Question } from './ask.test-support.ts'
import { OPENSTACK_VERSIONS, openstack, openstackInstance } from './openstack.ts'

const instance = openstackInstance({ userData: Buffer.from('x'), tags: { role: 'web' } })
const get = (path: string, question: Question = {}, of = instance) => ask(openstack, path, of, question)

describe('openstack', () => {
  it('lists its versions, and the files of each', () => {
    expect(get('/openstack').text).toBe(OPENSTACK_VERSIONS.join('\n'))
    expect(get('/openstack/2012-08-10').text).toBe('meta_data.json\nuser_data')
    expect(get('/openstack/latest/').text).toBe(
      'meta_data.json\npassword\nuser_data\nvendor_data.json\nnetwork_data.json\nvendor_data2.json',
    )
    expect(get('/openstack/2012-08-10/vendor_data.json').status).toBe(404)
    expect(get('/openstack/2000-01-01/meta_data.json').status).toBe(404)
  })

  it('describes the instance', () => {
    const { text, type } = get('/openstack/latest/meta_data.json')
    expect(type).toBe('application/json')
    expect(JSON.parse(text)).toMatchObject({
      uuid: instance.id,
      hostname: 'bootwright.novalocal',
      meta: { role: 'web' },
      public_keys: { bootwright: instance.sshKeys[0]?.openssh },
      keys: [{ type: 'ssh', name: 'bootwright' }],
    })
    expect(JSON.parse(get('/openstack/2013-04-04/meta_data.json').text)).not.toHaveProperty('project_id')
  })

  it('describes its network', () => {
    const { links, networks } = JSON.parse(get('/openstack/latest/network_data.json').text)
    expect(links).toMatchObject([{ ethernet_mac_address: 'fa:16:3e:b0:07:01' }])
    expect(networks).toMatchObject([{ link: links[0].id, type: 'ipv4_dhcp' }])
  })

  it('takes a password once', () => {
    const post = (body: string, of = instance) => get('/openstack/latest/password', { method: 'POST', body }, of)
    expect(get('/openstack/latest/password').text).toBe('')
    const { status, next } = post('secret')
    expect(status).toBe(200)
    expect(get('/openstack/latest/password', {}, next as typeof instance).text).toBe('secret')
    expect(post('again', next as typeof instance).status).toBe(409)
    expect(post('').status).toBe(400)
    expect(post('x'.repeat(1025)).status).toBe(400)
  })

  it('has the tree of EC2 as well', () => {
    expect(get('/').text).toContain('2009-04-04\nlatest')
    expect(get('/2009-04-04/meta-data/public-keys/').text).toBe('0=bootwright')
    expect(get('/latest/meta-data/instance-id').text).toMatch(/^i-[0-9a-f]{8}$/)
    expect(get('/latest/meta-data/local-hostname').text).toBe('bootwright')
    expect(get('/latest/user-data').text).toBe('x')
    expect(get('/latest/api/token', { method: 'PUT' }).status).toBe(405)
    expect(get('/2021-03-23/meta-data/').status).toBe(404)
  })

  it('has no user data where there are none', () => {
    expect(get('/openstack/latest/user_data', {}, openstackInstance()).status).toBe(404)
    expect(get('/latest/user-data', {}, openstackInstance()).status).toBe(404)
  })
})
