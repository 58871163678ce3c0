import { createPublicKey, verify } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { type Asked, answerOf, ask, PLAIN, type Question, START, signer } from './ask.test-support.ts'
import { googleInstance } from './google/instance.ts'
import { GOOGLE_SIGNER_NAME } from './google/tokens.ts'
import { google } from './google.ts'
import { headerValue } from './provider.ts'
import { pem } from './signer.ts'

const FLAVOR = [['Metadata-Flavor', 'Google']] as const
const V1 = '/computeMetadata/v1'
const instance = googleInstance({ userData: Buffer.from('#cloud-config\n'), attributes: { 'enable-oslogin': 'TRUE' } })

function get(below: string, question: Question = {}, of = instance): Asked {
  return ask(google, `${V1}${below}`, of, { headers: FLAVOR, ...question })
}

describe('access', () => {
  it('needs the header, except for the roots', () => {
    expect(get('/instance/id', { headers: [] })).toMatchObject({ status: 403, type: 'text/html; charset=UTF-8' })
    expect(get('/instance/id', { headers: [['metadata-flavor', 'Azure']] }).status).toBe(403)
    expect(ask(google, '/', instance)).toMatchObject({ status: 200, text: 'computeMetadata/\n' })
  })

  it('refuses what went through a proxy', () => {
    expect(get('/instance/id', { headers: [...FLAVOR, ['X-Forwarded-For', '10.0.0.1']] }).status).toBe(403)
  })

  it.for(['/instance/id', '/instance/nothing', '/instance/attributes', '/nowhere'])(
    'says with %s who it is and what it answered',
    (below) => {
      const { headers } = get(below)
      expect(headerValue(headers, 'Metadata-Flavor')).toBe('Google')
      expect(headerValue(headers, 'Server')).toBe('Metadata Server for VM')
      expect(headerValue(headers, 'ETag')).toMatch(/^[0-9a-f]{16}$/)
    },
  )

  it('answers by GET and HEAD only', () => {
    expect(get('/instance/id', { method: 'HEAD' }).status).toBe(200)
    for (const method of ['POST', 'PUT', 'DELETE']) expect(get('/instance/id', { method }).status, method).toBe(405)
  })

  it.for(['/instance/%', '/instance/%ff'])('refuses %s as malformed', (below) => {
    expect(get(below).status).toBe(400)
  })
})

describe('text', () => {
  it.for([
    ['/instance/id', '7007007007007007007'],
    ['/instance/name', 'bootwright'],
    ['/instance/hostname', 'bootwright.europe-west3-a.c.bootwright-project.internal'],
    ['/instance/zone', 'projects/123456789012/zones/europe-west3-a'],
    ['/instance/machine-type', 'projects/123456789012/machineTypes/e2-medium'],
    ['/instance/network-interfaces/0/ip', '172.31.16.10'],
    ['/instance/network-interfaces/0/subnetmask', '255.255.240.0'],
    ['/instance/network-interfaces/0/gateway', '172.31.16.1'],
    ['/instance/network-interfaces/0/access-configs/0/external-ip', '203.0.113.10'],
    ['/instance/network-interfaces/0/dns-servers', '169.254.169.254\n'],
    ['/instance/attributes/user-data', '#cloud-config\n'],
    ['/instance/attributes/enable-oslogin', 'TRUE'],
    ['/instance/scheduling/automatic-restart', 'TRUE'],
    ['/instance/preempted', 'FALSE'],
    ['/instance/virtual-clock/drift-token', '0'],
    ['/instance/service-accounts/default/aliases', 'default\n'],
    ['/project/project-id', 'bootwright-project'],
    ['/project/numeric-project-id', '123456789012'],
    ['/universe/universe-domain', 'googleapis.com'],
  ] as const)('%s is %j', ([below, text]) => {
    expect(get(below)).toMatchObject({ status: 200, type: 'application/text', text })
  })

  it('has SSH keys with the names of their users', () => {
    expect(get('/instance/attributes/ssh-keys').text).toMatch(/^bootwright:ssh-ed25519 \S+ bootwright$/)
  })

  it('lists directories a name a line, also empty ones', () => {
    expect(get('/instance/attributes/').text).toBe('enable-oslogin\nssh-keys\nuser-data\n')
    expect(get('/instance/network-interfaces/').text).toBe('0/\n')
    expect(get('/instance/network-interfaces/0/forwarded-ips/')).toMatchObject({ status: 200, text: '' })
    expect(get('/instance/service-accounts/default/').text).toBe('aliases\nemail\nidentity\nscopes\ntoken\n')
    expect(get('/').text).toBe('instance/\nproject/\nuniverse/\n')
    expect(get('/instance/').text).toContain('\nnetwork-interfaces/\n')
  })

  it('sends a directory without its slash there, with the query', () => {
    const answer = get('/instance/attributes?recursive=true', { headers: [...FLAVOR, ['Host', 'metadata']] })
    expect(answer.status).toBe(301)
    expect(headerValue(answer.headers, 'Location')).toBe(`http://metadata${V1}/instance/attributes/?recursive=true`)
  })

  it.for(['/instance/region', '/instance/id/', '/instance/id/x', '/instance/networkInterfaces/', '/instance//id'])(
    'has no %s',
    (below) => {
      expect(get(below)).toMatchObject({ status: 404, type: 'text/html; charset=UTF-8' })
    },
  )

  it("has the region where systemd's hwdb looks for it only when asked to", () => {
    expect(get('/instance/region', { setting: { ...PLAIN, hasHwdbPaths: true } }).text).toBe(
      'projects/123456789012/regions/europe-west3',
    )
  })
})

describe('JSON', () => {
  it('is the whole tree with names in camel case, and numbers as long as they are', () => {
    const { text, type } = get('/instance/?recursive=true')
    expect(type).toBe('application/json')
    expect(text).toContain('"id":7007007007007007007,')
    const json = JSON.parse(text)
    expect(json.networkInterfaces[0]).toMatchObject({
      accessConfigs: [{ externalIp: '203.0.113.10' }],
      forwardedIps: [],
    })
    expect(json.attributes['user-data']).toBe('#cloud-config\n')
    expect(Object.keys(json.serviceAccounts.default)).toEqual(['aliases', 'email', 'scopes'])
    expect(JSON.parse(get('/?recursive=True').text).project.projectId).toBe('bootwright-project')
    // So Google's own agent asks.
    expect(get('//?recursive=True')).toEqual(get('/?recursive=True'))
  })

  it('comes as a line a value when text is wanted', () => {
    const { text, type } = get('/instance/?recursive=true&alt=text')
    expect(type).toBe('application/text')
    expect(text).toContain('\nnetwork-interfaces/0/ip 172.31.16.10\n')
    expect(text).toContain('attributes/enable-oslogin TRUE\n')
    expect(text).not.toMatch(/default\/token/)
  })

  it('of single values is for those who ask for it; tags have no other', () => {
    expect(get('/instance/name?alt=json').text).toBe('"bootwright"')
    expect(get('/instance/tags')).toMatchObject({ type: 'application/json', text: '["bootwright"]' })
    expect(get('/instance/tags?alt=text').text).toBe('bootwright\n')
  })
})

describe('wait_for_change', () => {
  const target = `${V1}/instance/maintenance-event?wait_for_change=true`
  const held = (query: string, question: Question = {}, of = instance) =>
    answerOf(google, `${target}${query}`, of, { headers: FLAVOR, ...question })
  const etag = headerValue(get('/instance/maintenance-event').headers, 'ETag') ?? ''
  const changed = { ...instance, maintenanceEvent: 'TERMINATE_ON_HOST_MAINTENANCE' as const }

  it('holds while the value is as the client knows it', () => {
    expect(held(`&last_etag=${etag}`)).toMatchObject({ holdUntilMs: expect.any(Number) })
    expect(held(`&last_etag=${etag}`, {}, changed)).toMatchObject({ status: 200 })
    expect(held('&last_etag=0000000000000000')).toMatchObject({ status: 200 })
  })

  it('without an ETag holds until the value is another than when it was asked', () => {
    const first = held('')
    expect(first).toMatchObject({ remember: etag })
    const again = { setting: { held: etag }, nowMs: START + 1 }
    expect(held('', again)).toMatchObject({ remember: etag })
    expect(held('', again, changed)).toMatchObject({ status: 200 })
  })

  it('gives the value as it is when the time is over', () => {
    const query = `&timeout_sec=5&last_etag=${etag}`
    expect(held(query)).toMatchObject({ holdUntilMs: START + 5_000 })
    expect(held(query, { nowMs: START + 4_999 })).toMatchObject({ holdUntilMs: START + 5_000 })
    expect(held(query, { nowMs: START + 5_000 })).toMatchObject({ status: 200 })
  })

  it('waits for nothing that is not there, and no time that is none', () => {
    expect(answerOf(google, `${V1}/nothing?wait_for_change=true`, instance, { headers: FLAVOR })).toMatchObject({
      status: 404,
    })
    expect(held('&timeout_sec=x')).toMatchObject({ status: 400 })
  })
})

describe('service accounts', () => {
  const account = '/instance/service-accounts/default'

  it('have a token that lives until the full hour', () => {
    const token = (nowMs: number) => JSON.parse(get(`${account}/token`, { nowMs }).text)
    const hour = START - (START % 3_600_000)
    expect(token(hour)).toMatchObject({ expires_in: 3600, token_type: 'Bearer' })
    expect(token(hour + 3_599_001)).toMatchObject({ expires_in: 1, access_token: token(hour).access_token })
    expect(token(hour + 3_600_000).access_token).not.toBe(token(hour).access_token)
  })

  it('have an identity for an audience, signed', () => {
    const { text, status } = get(`${account}/identity?audience=https%3A%2F%2Fexample&format=full`)
    expect(status).toBe(200)
    const [header = '', claims = '', signature = ''] = text.split('.')
    const parsed = JSON.parse(Buffer.from(claims, 'base64url').toString())
    expect(parsed).toMatchObject({
      aud: 'https://example',
      iss: 'https://accounts.google.com',
      exp: Math.floor(START / 1000) + 3600,
      google: {
        compute_engine: { instance_id: instance.id, zone: 'europe-west3-a', project_id: 'bootwright-project' },
      },
    })
    expect(parsed.google.compute_engine.license_id).toBeUndefined()
    const key = createPublicKey(pem(signer.identity(GOOGLE_SIGNER_NAME).certificate))
    expect(verify('sha256', Buffer.from(`${header}.${claims}`), key, Buffer.from(signature, 'base64url'))).toBe(true)
  })

  it('have licences and the instance in it only when asked for', () => {
    const claims = (query: string) =>
      JSON.parse(
        Buffer.from(get(`${account}/identity?audience=x${query}`).text.split('.')[1] ?? '', 'base64url').toString(),
      )
    expect(claims('').google).toBeUndefined()
    expect(claims('&format=full&licenses=TRUE').google.compute_engine.license_id).toEqual(instance.licenses)
  })

  it('have none for nobody', () => {
    expect(get(`${account}/identity`)).toMatchObject({ status: 400 })
    expect(get('/instance/service-accounts/other/token').status).toBe(404)
  })
})

describe('guest attributes', () => {
  const path = '/instance/guest-attributes/ns/key'

  it('are closed where they are not enabled', () => {
    expect(get(path).status).toBe(403)
    expect(get(path, { method: 'PUT', body: 'x' }).status).toBe(403)
  })

  it('can be written, and read again', () => {
    const { next, status } = get(path, { method: 'PUT', body: 'value' }, { ...instance, guestAttributes: {} })
    expect(status).toBe(200)
    expect(get(path, {}, next as typeof instance).text).toBe('value')
    expect(get('/instance/guest-attributes/ns/', {}, next as typeof instance).text).toBe('key\n')
    expect(get('/instance/guest-attributes/ns', { method: 'PUT' }, { ...instance, guestAttributes: {} }).status).toBe(
      400,
    )
  })
})

describe('googleInstance()', () => {
  it('derives region and host name', () => {
    expect(googleInstance({ zone: 'us-east1-b', name: 'web' })).toMatchObject({
      region: 'us-east1',
      hostname: 'web.us-east1-b.c.bootwright-project.internal',
    })
  })

  it.for([
    ['user data in UTF-8', { userData: Buffer.from([0xff]) }],
    ['network tags', { tags: { Name: 'x' } }],
    ['a zone of its region', { region: 'us-east1', zone: 'europe-west3-a' }],
    ['metadata keys', { attributes: { 'a b': '' } }],
    ['decimal digits', { id: 'i-0' }],
    ['from 1 to 8 network interfaces', { interfaces: [] }],
    ['has no shape', { shape: 'x' }],
  ] as const)('refuses what has not %s', ([expected, overrides]) => {
    expect(() => googleInstance(overrides as Parameters<typeof googleInstance>[0])).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', message: expect.stringContaining(expected) }),
    )
  })
})
