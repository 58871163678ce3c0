import { describe, expect, it } from 'vitest'
import { akamai, akamaiInstance } from './akamai.ts'
import { ask, type Question, START } from './ask.test-support.ts'

const instance = akamaiInstance({ userData: Buffer.from([0xff, 0, 1]) })
const JSON_PLEASE = ['Accept', 'application/json'] as const
const put = (headers: Question['headers'] = []) => ask(akamai, '/v1/token', instance, { method: 'PUT', headers })
const token = put([['Metadata-Token-Expiry-Seconds', '300']]).text

function get(path: string, question: Question = {}, of = instance) {
  const headers = [['Metadata-Token', token] as const, ...(question.headers ?? [])]
  return ask(akamai, path, of, { ...question, headers })
}

describe('akamai', () => {
  it('gives tokens for a time, and answers nothing without one', () => {
    expect(put([['Metadata-Token-Expiry-Seconds', '86400']]).status).toBe(200)
    for (const wrong of ['0', '86401', 'x']) expect(put([['Metadata-Token-Expiry-Seconds', wrong]]).status).toBe(400)
    expect(put().status).toBe(400)
    expect(ask(akamai, '/v1/token', instance).status).toBe(405)
    expect(ask(akamai, '/v1/instance', instance).status).toBe(401)
    expect(get('/v1/instance', { nowMs: START + 300_000 }).status).toBe(401)
    expect(get('/v1/instance', {}, akamaiInstance({ tokenGeneration: 1 })).status).toBe(401)
    expect(get('/v1/instance', {}, akamaiInstance({ id: '5' })).status).toBe(401)
  })

  it('answers in JSON who asks for it, tokens too', () => {
    const headers = [['Metadata-Token-Expiry-Seconds', '300'], JSON_PLEASE] as const
    expect(JSON.parse(put(headers).text)).toEqual([expect.stringMatching(/^[\w-]{54}==$/)])
    const answer = get('/v1/instance', { headers: [JSON_PLEASE] })
    expect(answer.type).toBe('application/json')
    expect(JSON.parse(answer.text)).toMatchObject({ id: 70_070_070, label: 'bootwright', specs: { vcpus: 1 } })
    expect(JSON.parse(get('/v1/network', { headers: [JSON_PLEASE] }).text)).toMatchObject({
      ipv4: { public: ['203.0.113.10/32'] },
      ipv6: { slaac: '2001:db8:1f:10::10/128' },
    })
    const keys = { users: { root: [instance.sshKeys[0]?.openssh] } }
    expect(JSON.parse(get('/v1/ssh-keys', { headers: [JSON_PLEASE] }).text)).toEqual(keys)
  })

  it('answers others in lines', () => {
    const { text, type } = get('/v1/instance')
    expect(type).toBe('text/plain; charset=utf-8')
    expect(text.split('\n')).toEqual(expect.arrayContaining(['id: 70070070', 'specs.vcpus: 1', 'backups.status: ']))
    expect(get('/v1/ssh-keys').text).toBe(`users.root: ${instance.sshKeys[0]?.openssh}`)
  })

  it('has user data in Base64, which are empty where there are none', () => {
    expect(get('/v1/user-data')).toMatchObject({ status: 200, text: '/wAB' })
    expect(get('/v1/user-data', {}, akamaiInstance())).toMatchObject({ status: 200, text: '' })
  })

  it('has nothing else, and is known by its name and serial number', () => {
    for (const path of ['/v1/other', '/instance', '/', '/v1']) expect(get(path).status, path).toBe(404)
    expect(get('/v1/instance', { method: 'POST' }).status).toBe(405)
    expect(akamai.smbios(instance).system).toMatchObject({ manufacturer: 'Akamai', serialNumber: '70070070' })
    expect(() => akamaiInstance({ zone: 'x' })).toThrow('no zone besides its region de-fra-2')
  })
})
