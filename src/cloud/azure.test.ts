import { createPublicKey, verify } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { run } from '../system/index.ts'
import { type Asked, ask, PLAIN, type Question, START, signer } from './ask.test-support.ts'
import { type AzureInstance, azureInstance } from './azure/instance.ts'
import { NEWEST_VERSIONS } from './azure/protocol.ts'
import { AZURE_TOKEN_SIGNER_NAME } from './azure/signed.ts'
import { azure } from './azure.ts'
import { headerValue } from './provider.ts'
import { pem } from './signer.ts'

const METADATA = [['Metadata', 'true']] as const
const VERSION = 'api-version=2025-04-07'
const instance = azureInstance({ userData: Buffer.from('#cloud-config\n'), tags: { a: '1', b: 'x:y' } })

function get(target: string, question: Question = {}, of: AzureInstance = instance): Asked {
  return ask(azure, target, of, { headers: METADATA, ...question })
}

function leaf(below: string): string {
  const { status, text } = get(`/metadata/instance/${below}?${VERSION}&format=text`)
  return status === 200 ? text : `${status}`
}

describe('access', () => {
  const target = `/metadata/instance?${VERSION}`

  it('needs the header, and no proxy', () => {
    expect(get(target).status).toBe(200)
    expect(get(target, { headers: [['METADATA', 'True']] }).status).toBe(200)
    expect(get(target, { headers: [] })).toMatchObject({ status: 400, type: 'application/json; charset=utf-8' })
    expect(get(target, { headers: [['Metadata', 'false']] }).status).toBe(400)
    expect(get(target, { headers: [...METADATA, ['x-forwarded-for', '10.0.0.1']] }).status).toBe(400)
  })

  it.for(['/metadata/instance', '/metadata/instance?api-version=2025-04-08', '/metadata/instance?api-version='])(
    'refuses %s with the versions that there are',
    (without) => {
      const { status, text } = get(without)
      expect(status).toBe(400)
      expect(JSON.parse(text)).toEqual({
        error: 'Bad request. api-version is invalid or was not specified in the request.',
        'newest-versions': NEWEST_VERSIONS,
      })
    },
  )

  it.for([`${target}&${VERSION}`, `${target}&format=xml`, `${target}&a=%ff`, '/metadata/%?'])('refuses %s', (bad) => {
    expect(get(bad).status).toBe(400)
  })

  it('lists its versions to those who know none', () => {
    expect(JSON.parse(get('/metadata/versions').text).apiVersions).toContain('2018-02-01')
  })

  it('has in each version what came with it, and nothing later', () => {
    const compute = (version: string) => JSON.parse(get(`/metadata/instance/compute?api-version=${version}`).text)
    // What waagent takes this version to have.
    const oldest =
      'location name offer osType placementGroupId platformFaultDomain platformUpdateDomain publisher resourceGroupName sku ' +
      'subscriptionId tags version vmId vmScaleSetName vmSize zone'
    expect(Object.keys(compute('2018-02-01')).join(' ')).toBe(oldest)
    expect(compute('2017-04-02')).not.toHaveProperty('zone')
    expect(compute('2020-07-15').osProfile).not.toHaveProperty('disablePasswordAuthentication')
    expect(compute('2020-10-01').osProfile).toHaveProperty('disablePasswordAuthentication')
    expect(compute('2025-04-07').securityProfile).toHaveProperty('securityType')
    expect(get('/metadata/instance/compute/userData?api-version=2020-12-01&format=text').status).toBe(404)
  })

  it.for([
    '/metadata',
    '/metadata/nothing',
    '/metadata/instance/nothing',
    '/other',
    '/metadata/instance/compute/name/x',
  ])('has no %s, in JSON', (path) => {
    expect(get(`${path}?${VERSION}`)).toMatchObject({ status: 404, text: '{"error":"Not found"}' })
  })

  it('answers nothing but GET', () => {
    expect(get(target, { method: 'PUT' }).status).toBe(405)
    expect(get(target, { method: 'POST' }).status).toBe(405)
  })

  it('counts requests where it is limited', () => {
    let limited = azureInstance({ requestsPerSecond: 2 })
    for (const [afterMs, status] of [
      [0, 200],
      [10, 200],
      [20, 429],
      [1_000, 200],
      [1_001, 429],
      [1_010, 200],
    ] as const) {
      const answer = get(target, { nowMs: START + afterMs }, limited)
      expect(answer.status, `${afterMs} ms`).toBe(status)
      limited = (answer.next as AzureInstance | undefined) ?? limited
    }
  })
})

describe('/metadata/instance', () => {
  it.for([
    ['compute/osProfile/computerName', 'bootwright'],
    ['compute/location', 'westeurope'],
    ['compute/zone', '1'],
    ['compute/physicalZone', 'westeurope-AZ1'],
    ['compute/tags', 'a:1;b:x:y'],
    ['compute/tagsList/1/value', 'x:y'],
    ['compute/userData', Buffer.from('#cloud-config\n').toString('base64')],
    ['compute/customData', ''],
    ['compute/securityProfile/virtualTpmEnabled', 'true'],
    ['compute/storageProfile/imageReference/offer', 'images'],
    ['network/interface/0/ipv4/ipAddress/0/publicIpAddress', '203.0.113.10'],
    ['network/interface/0/ipv4/subnet/0/prefix', '20'],
    ['network/interface/0/macAddress', '000D3AB00701'],
    ['network/interface/1/macAddress', '404'],
    ['network/interface/0/ipv6/ipAddress/0/publicIpAddress', '404'],
    ['network/interface', '0/'],
    ['network/interface/0', 'ipv4/\nipv6/\nmacAddress'],
  ] as const)('has %s as text: %j', ([below, text]) => {
    expect(leaf(below)).toBe(text)
  })

  it('has in JSON directories only, and in them nothing but text', () => {
    expect(get(`/metadata/instance/compute/name?${VERSION}`).status).toBe(400)
    const { compute, network } = JSON.parse(get(`/metadata/instance?${VERSION}`).text)
    expect(network.interface[0].ipv6.ipAddress).toEqual([{ privateIpAddress: '2001:db8:1f:10::10' }])
    const scalars = (value: unknown): unknown[] =>
      typeof value === 'object' && value !== null ? Object.values(value).flatMap(scalars) : [value]
    expect(scalars(compute).filter((value) => typeof value !== 'string')).toEqual([])
    expect(compute.extended).toBeUndefined()
  })

  it('has more when it is extended', () => {
    expect(JSON.parse(get(`/metadata/instance?${VERSION}&extended=true`).text).extended.compute.ppsType).toBe('None')
  })

  it("has a public IPv6 address where systemd's hwdb looks for it only when asked to", () => {
    const target = `/metadata/instance/network/interface/0/ipv6/ipAddress/0/publicIpAddress?${VERSION}&format=text`
    expect(get(target, { setting: { ...PLAIN, hasHwdbPaths: true } }).text).toBe('2001:db8:1f:10::10')
  })
})

describe('/metadata/attested/document', () => {
  it('is signed by the authority, as openssl sees it', async () => {
    const { text } = get(`/metadata/attested/document?${VERSION}&nonce=1234567890`)
    const { encoding, signature } = JSON.parse(text)
    expect(encoding).toBe('pkcs7')
    const directory = await mkdtemp(join(tmpdir(), 'bootwright-attested-'))
    try {
      const [input, authority] = [join(directory, 'document'), join(directory, 'ca.pem')]
      await writeFile(input, Buffer.from(signature, 'base64'))
      await writeFile(authority, pem(signer.authority.certificate))
      const { stdout } = await run({
        // biome-ignore format: an option and its value on one line
        argv: ['openssl', 'cms', '-verify', '-binary', '-inform', 'DER', '-in', input, '-purpose', 'any', '-CAfile', authority],
      })
      expect(JSON.parse(stdout)).toMatchObject({
        nonce: '1234567890',
        vmId: instance.id,
        subscriptionId: instance.subscriptionId,
        timeStamp: { createdOn: '05/05/26 06:07:08 -0000', expiresOn: '05/05/26 12:07:08 -0000' },
      })
    } finally {
      await rm(directory, { recursive: true, force: true })
    }
  })

  it('takes nonces that are short enough', () => {
    expect(get(`/metadata/attested/document?${VERSION}&nonce=${'1'.repeat(33)}`).status).toBe(400)
    expect(get(`/metadata/attested/nothing?${VERSION}`).status).toBe(404)
  })
})

describe('/metadata/identity/oauth2/token', () => {
  const target = '/metadata/identity/oauth2/token?api-version=2018-02-01'

  it('is signed, for a resource', () => {
    const reply = JSON.parse(get(`${target}&resource=https%3A%2F%2Fvault.azure.net`).text)
    expect(reply).toMatchObject({
      resource: 'https://vault.azure.net',
      token_type: 'Bearer',
      expires_in: '86400',
      expires_on: String(Math.floor(START / 1000) + 86_400),
    })
    const [header, claims = '', signature = ''] = reply.access_token.split('.')
    expect(JSON.parse(Buffer.from(claims, 'base64url').toString())).toMatchObject({
      aud: 'https://vault.azure.net',
      tid: instance.tenantId,
      oid: instance.identities[0]?.objectId,
    })
    const key = createPublicKey(pem(signer.identity(AZURE_TOKEN_SIGNER_NAME).certificate))
    expect(verify('sha256', Buffer.from(`${header}.${claims}`), key, Buffer.from(signature, 'base64url'))).toBe(true)
  })

  it('is of the identity that is named', () => {
    const identity = { clientId: 'c', objectId: 'o', resourceId: '/r' }
    const two = azureInstance({ identities: [...instance.identities, identity] })
    for (const name of ['client_id=C', 'object_id=o', 'msi_res_id=%2Fr', 'mi_res_id=/r']) {
      expect(JSON.parse(get(`${target}&resource=x&${name}`, {}, two).text).client_id, name).toBe('c')
    }
    const unknown = get(`${target}&resource=x&client_id=other`, {}, two)
    expect(unknown.status).toBe(400)
    expect(JSON.parse(unknown.text)).toEqual({ error: 'invalid_request', error_description: 'Identity not found' })
  })

  it('needs a resource and an identity', () => {
    expect(JSON.parse(get(target).text).error).toBe('invalid_request')
    expect(get(`${target}&resource=x`, {}, azureInstance({ identities: [] })).status).toBe(400)
  })
})

describe('/metadata/scheduledevents', () => {
  const target = '/metadata/scheduledevents?api-version=2020-07-01'
  const reboot = {
    eventId: 'A-1',
    eventType: 'Reboot',
    eventStatus: 'Scheduled',
    notBeforeMs: START,
    description: 'planned',
    eventSource: 'Platform',
    durationInSeconds: 60,
  } as const
  const threatened = azureInstance({ scheduledEvents: [reboot, { ...reboot, eventId: 'B' }] })

  it('has none, then some', () => {
    expect(JSON.parse(get(target).text)).toEqual({ DocumentIncarnation: 1, Events: [] })
    expect(JSON.parse(get(target, {}, threatened).text).Events[0]).toEqual({
      EventId: 'A-1',
      EventStatus: 'Scheduled',
      EventType: 'Reboot',
      ResourceType: 'VirtualMachine',
      Resources: ['bootwright'],
      NotBefore: 'Tue, 05 May 2026 06:07:08 GMT',
      Description: 'planned',
      EventSource: 'Platform',
      DurationInSeconds: 60,
    })
  })

  it('starts what is acknowledged', () => {
    const body = '{"StartRequests":[{"EventId":"a-1"}]}'
    const { status, next } = get(target, { method: 'POST', body }, threatened)
    expect(status).toBe(200)
    const document = JSON.parse(get(target, {}, next as AzureInstance).text)
    expect(document.DocumentIncarnation).toBe(2)
    expect(document.Events.map(({ EventStatus }: { EventStatus: string }) => EventStatus)).toEqual([
      'Started',
      'Scheduled',
    ])
  })

  it.for(['', '{}', 'null', '{"StartRequests":[1]}', '{"StartRequests":[{"EventId":"other"}]}'])(
    'refuses %j',
    (body) => {
      expect(get(target, { method: 'POST', body }, threatened)).toMatchObject({ status: 400, next: undefined })
    },
  )
})

it('/metadata/loadbalancer has the public addresses', () => {
  expect(JSON.parse(get('/metadata/loadbalancer?api-version=2020-10-01').text).loadbalancer.publicIpAddresses).toEqual([
    { frontendIpAddress: '203.0.113.10', privateIpAddress: '172.31.16.10' },
  ])
})

describe('the wire server', () => {
  const headers = [['x-ms-version', '2012-11-30']] as const
  const wire = (target: string, question: Question = {}, of: AzureInstance = instance) =>
    get(target, { headers, endpoint: 'wire-server', ...question }, of)

  it('speaks the version that agents speak', () => {
    expect(wire('/?comp=versions', { headers: [] }).text).toContain(
      '<Preferred><Version>2012-11-30</Version></Preferred>',
    )
    expect(wire('/machine/?comp=goalstate', { headers: [] }).status).toBe(400)
    expect(wire('/HealthService', { headers: [], method: 'POST', body: '{}' }).status).toBe(200)
    expect(wire('/HealthService', { headers: [] }).status).toBe(404)
    expect(wire('/metadata/instance').status).toBe(404)
  })

  it('gives a goal state, and what that points at', () => {
    const { text, type } = wire('/machine/?comp=goalstate')
    expect(type).toBe('text/xml; charset=utf-8')
    expect(text).toContain('<Incarnation>1</Incarnation>')
    const addresses = [...text.matchAll(/>http:\/\/168\.63\.129\.16:80(\/[^<]*)</g)].map(([, address]) => address ?? '')
    expect(addresses).toHaveLength(4)
    for (const address of addresses) expect(wire(address.replaceAll('&amp;', '&')).status, address).toBe(200)
    expect(wire('/machine/other/role?comp=config&type=sharedConfig').status).toBe(410)
  })

  it('takes reports of health', () => {
    const body =
      '<Health><GoalStateIncarnation>1</GoalStateIncarnation><Container><RoleInstanceList><Role><Health><State>NotReady</State><Details><SubStatus>ProvisioningFailed</SubStatus><Description>broken</Description></Details></Health></Role></RoleInstanceList></Container></Health>'
    const { status, next } = wire('/machine?comp=health', { method: 'POST', body })
    expect(status).toBe(200)
    expect((next as AzureInstance).health).toEqual({
      state: 'NotReady',
      subStatus: 'ProvisioningFailed',
      description: 'broken',
    })
    expect(wire('/machine?comp=health', { method: 'POST', body: '<Health/>' })).toMatchObject({
      status: 400,
      next: undefined,
    })
  })

  it('has a plug-in beside it', () => {
    expect(get('/versions', { endpoint: 'host-plugin', headers: [] }).text).toBe('["2015-09-01"]')
    expect(headerValue(get('/vmSettings', { endpoint: 'host-plugin' }).headers, 'content-type')).toBe('text/plain')
  })
})

it.for([
  ['a UUID', { id: 'i-0' }],
  ['publisher:offer:sku:version', { image: 'ubuntu' }],
  ['a zone of 1, 2, 3', { zone: 'westeurope-1' }],
  ['tags that Azure allows', { tags: { 'a;b': 'x' } }],
  ['at most 64 characters', { hostname: 'a'.repeat(65) }],
] as const)('azureInstance() refuses what is not %s', ([expected, overrides]) => {
  expect(() => azureInstance(overrides as Parameters<typeof azureInstance>[0])).toThrow(
    expect.objectContaining({ code: 'INVALID_ARGUMENT', message: expect.stringContaining(expected) }),
  )
})
