import { describe, expect, it } from 'vitest'
import { ALIBABA_SIGNER_NAME, alibaba, alibabaInstance } from './alibaba.ts'
import { ask, type Question, START, signer } from './ask.test-support.ts'

const TOKEN = 'X-aliyun-ecs-metadata-token'
const TTL = 'X-aliyun-ecs-metadata-token-ttl-seconds'
const instance = alibabaInstance({ userData: Buffer.from('x') })
const hardened = alibabaInstance({ httpTokens: 'required' })
const get = (path: string, question: Question = {}, of = instance) => ask(alibaba, path, of, question)
const tokenOf = (of = instance, seconds = '60') =>
  get('/latest/api/token', { method: 'PUT', headers: [[TTL, seconds]] }, of).text

describe('alibaba', () => {
  it.for([
    ['hostname', 'bootwright'],
    ['region-id', 'eu-central-1'],
    ['zone-id', 'eu-central-1-a'],
    ['eipv4', '203.0.113.10'],
    ['public-keys/0/openssh-key', instance.sshKeys[0]?.openssh],
    ['network/interfaces/macs/00:16:3e:b0:07:01/netmask', '255.255.240.0'],
    [
      'instance/',
      'instance-name\ninstance-type\nlast-host-landing-time\nmax-netbw-egress\nmax-netbw-ingress\nvirtualization-solution\nvirtualization-solution-version',
    ],
  ] as const)('has %s', ([name, text]) => {
    expect(get(`/latest/meta-data/${name}`)).toMatchObject({ status: 200, text })
  })

  it('has the same as one object', () => {
    const { type, text } = get('/2016-01-01/meta-data/all')
    expect(type).toBe('application/json')
    expect(JSON.parse(text)).toMatchObject({
      'instance-id': instance.id,
      instance: { 'instance-type': 'ecs.g7.large' },
      'public-keys': { '0': { 'openssh-key': instance.sshKeys[0]?.openssh } },
    })
  })

  it('has a document of identity with its signature', () => {
    const document = Buffer.from(get('/latest/dynamic/instance-identity/document').text)
    expect(JSON.parse(document.toString())['instance-id']).toBe(instance.id)
    const cms = Buffer.from(get('/latest/dynamic/instance-identity/pkcs7').text, 'base64')
    expect(cms.includes(document)).toBe(true)
    expect(cms.includes(signer.identity(ALIBABA_SIGNER_NAME).certificate)).toBe(true)
  })

  it('gives tokens, and wants one in the hardened mode', () => {
    const headers = (token: string) => ({ headers: [[TOKEN, token]] as const })
    const path = '/latest/meta-data/instance-id'
    expect(get(path, {}, hardened).status).toBe(403)
    const token = tokenOf(hardened)
    expect(get(path, headers(token), hardened).text).toBe(hardened.id)
    expect(get(path, { ...headers(token), nowMs: START + 60_000 }, hardened).status).toBe(403)
    expect(get(path, headers('wrong')).status).toBe(403)
    expect(get(path, headers(tokenOf())).status).toBe(200)
    expect(get(path, headers(token), { ...hardened, tokenGeneration: 1 }).status).toBe(403)
  })

  it.for(['0', '21601', 'x'])('gives no token for %s seconds', (seconds) => {
    expect(get('/latest/api/token', { method: 'PUT', headers: [[TTL, seconds]] }).status).toBe(400)
  })

  it('has a notice only before the instance is taken back', () => {
    const path = '/latest/meta-data/instance/spot/termination-time'
    expect(get(path).status).toBe(404)
    expect(get(path, {}, alibabaInstance({ spotTerminationAtMs: START })).text).toBe('2026-05-05T06:07:08Z')
  })

  it('has nothing else', () => {
    for (const path of ['/2020-01-01/meta-data/', '/latest/meta-data/other', '/latest/vendor-data']) {
      expect(get(path).status, path).toBe(404)
    }
    expect(get('/latest/meta-data/', { method: 'POST' }).status).toBe(405)
    expect(get('/latest/%zz').status).toBe(400)
  })
})
