import { describe, expect, it } from 'vitest'
import { ask, type Question } from './ask.test-support.ts'
import { type ExoscaleInstance, exoscale, exoscaleInstance } from './exoscale.ts'

const instance = exoscaleInstance({ userData: Buffer.from([0xff, 0]), password: 'once-only' })
const get = (path: string, question: Question = {}, of = instance) => ask(exoscale, path, of, question)
const password = (what: string, of = instance) =>
  get('/1.0/', { endpoint: 'password', headers: [['DomU_Request', what]] }, of)

describe('exoscale', () => {
  it.for([
    ['meta-data/instance-id', instance.id],
    ['meta-data/local-hostname', 'bootwright'],
    ['meta-data/availability-zone', 'de-fra-1'],
    ['meta-data/public-ipv4', '203.0.113.10'],
    ['meta-data/public-keys', instance.sshKeys[0]?.openssh],
  ] as const)('has %s', ([name, text]) => {
    for (const version of ['1.0', 'latest']) expect(get(`/${version}/${name}`)).toMatchObject({ status: 200, text })
  })

  it('lists what there is', () => {
    expect(get('/1.0/').text).toBe('meta-data/\nuser-data')
    expect(get('/1.0/meta-data/').text.split('\n')).toHaveLength(10)
  })

  it('has user data as they are, and none where there are none', () => {
    expect(get('/1.0/user-data')).toMatchObject({ status: 200, type: 'application/octet-stream' })
    expect(get('/1.0/user-data', {}, exoscaleInstance()).status).toBe(404)
  })

  it('tells a password until the guest has it', () => {
    expect(password('send_my_password').text).toBe('once-only')
    const saved = password('saved_password')
    expect(saved.text).toBe('saved_password')
    expect(password('send_my_password', saved.next as ExoscaleInstance).text).toBe('saved_password')
    expect(password('send_my_password', exoscaleInstance()).text).toBe('')
    expect(password('other').status).toBe(400)
    expect(get('/1.0/', { endpoint: 'password' }).status).toBe(400)
  })

  it('has nothing else, and is known by its product', () => {
    for (const path of ['/', '/2.0/meta-data', '/1.0/other', '/%']) expect(get(path).status, path).toBe(404)
    expect(get('/1.0/meta-data', { method: 'PUT' }).status).toBe(405)
    expect(exoscale.smbios(instance).system?.productName).toMatch(/^Exoscale/)
    expect(() => exoscaleInstance({ tags: { a: 'b' } })).toThrow('no tags')
    expect(() => exoscaleInstance({ password: 'a b' })).toThrow('a password')
  })
})
