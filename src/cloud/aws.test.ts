import { verify, X509Certificate } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { PLAIN, signer } from './ask.test-support.ts'
import { identitySignerName } from './aws/documents.ts'
import { awsInstance } from './aws/instance.ts'
import { aws } from './aws.ts'
import { type HeaderLines, headerValue, type MetadataRequest } from './provider.ts'
import { hwdbModalias } from './smbios.ts'

const START = Date.UTC(2026, 4, 5, 6, 7, 8)
const TTL = 'X-aws-ec2-metadata-token-ttl-seconds'
const TOKEN = 'X-aws-ec2-metadata-token'
const v1 = awsInstance({ metadataOptions: { ...awsInstance().metadataOptions, httpTokens: 'optional' } })

function request(method: string, path: string, headers: HeaderLines = []): MetadataRequest {
  const here = { address: '127.0.0.1', port: 80 }
  return {
    method,
    path,
    query: '',
    headers,
    body: new Uint8Array(),
    endpoint: 'imds',
    peer: here,
    local: here,
    arrivedAtMs: START,
  }
}

function ask(
  method: string,
  path: string,
  { headers = [], instance = v1, nowMs = START }: { headers?: HeaderLines; instance?: typeof v1; nowMs?: number } = {},
): { status: number; text: string; type: string | undefined; headers: HeaderLines; hopLimit: number | undefined } {
  const response = aws.answer(request(method, path, headers), instance, nowMs, PLAIN)
  const text = Buffer.from(response.body).toString()
  const type = headerValue(response.headers, 'content-type')
  return { status: response.status, text, type, headers: response.headers, hopLimit: response.hopLimit }
}

function get(path: string, instance = v1): string {
  const { status, text } = ask('GET', path, { instance })
  return status === 200 ? text : `${status}`
}

function tokenOf(instance = v1, seconds = '60'): string {
  return ask('PUT', '/latest/api/token', { instance, headers: [[TTL, seconds]] }).text
}

describe('PUT /latest/api/token', () => {
  it('issues a token, echoes its lifetime and states the hop limit', () => {
    const answer = ask('PUT', '/latest/api/token', { headers: [[TTL.toUpperCase(), '21600']] })
    expect(answer).toMatchObject({ status: 200, type: 'text/plain', hopLimit: 1 })
    expect(answer.text).toMatch(/^[\w-]{54}==$/)
    expect(headerValue(answer.headers, TTL)).toBe('21600')
  })

  it.for([
    [],
    [[TTL, '0']],
    [[TTL, '21601']],
    [[TTL, 'x']],
    [
      [TTL, '60'],
      [TTL, '60'],
    ],
  ] as const)('refuses lifetime %j with 400', (headers) => {
    expect(ask('PUT', '/latest/api/token', { headers }).status).toBe(400)
  })

  it('refuses what went through a proxy with 403', () => {
    expect(
      ask('PUT', '/latest/api/token', {
        headers: [
          [TTL, '60'],
          ['x-forwarded-for', '10.0.0.1'],
        ],
      }).status,
    ).toBe(403)
  })

  it('refuses dated versions with 403, and everything else with 405', () => {
    const headers = [[TTL, '60']] as const
    expect(ask('PUT', '/2021-03-23/api/token', { headers }).status).toBe(403)
    expect(ask('PUT', '/latest/meta-data/hostname', { headers }).status).toBe(405)
    expect(ask('PUT', '/2000-01-01/api/token', { headers }).status).toBe(405)
  })

  it('is the only method for that path', () => {
    const answer = ask('GET', '/latest/api/token')
    expect(answer.status).toBe(405)
    expect(headerValue(answer.headers, 'allow')).toBe('PUT')
  })
})

describe('access', () => {
  const path = '/latest/meta-data/instance-id'
  const required = awsInstance()

  it('with a token gives the value and the rest of the lifetime', () => {
    const headers = [[TOKEN.toLowerCase(), tokenOf(required)]] as const
    const answer = ask('GET', path, { instance: required, headers, nowMs: START + 59_999 })
    expect(answer).toMatchObject({ status: 200, text: required.id })
    expect(headerValue(answer.headers, TTL)).toBe('1')
  })

  it('without a token is refused where tokens are required, and only there', () => {
    expect(ask('GET', path, { instance: required }).status).toBe(401)
    expect(ask('GET', path, { instance: v1 }).status).toBe(200)
  })

  it('with a token past its lifetime is refused, required or not', () => {
    for (const instance of [required, v1]) {
      const headers = [[TOKEN, tokenOf(instance)]] as const
      expect(ask('GET', path, { instance, headers, nowMs: START + 60_000 }).status).toBe(401)
    }
  })

  it('with a wrong, a foreign or a withdrawn token is refused', () => {
    const token = tokenOf(required)
    const other = awsInstance({ id: 'i-12345678' })
    for (const [instance, value] of [
      [required, 'wrong'],
      [required, ''],
      [other, token],
      [{ ...required, tokenGeneration: 1 }, token],
    ] as const) {
      expect(ask('GET', path, { instance, headers: [[TOKEN, value]] }).status, value).toBe(401)
    }
  })

  it('is refused for everything when the endpoint is disabled', () => {
    const instance = awsInstance({ metadataOptions: { ...required.metadataOptions, httpEndpoint: 'disabled' } })
    expect(ask('PUT', '/latest/api/token', { instance, headers: [[TTL, '60']] }).status).toBe(403)
    expect(ask('GET', path, { instance }).status).toBe(403)
  })

  it.for(['POST', 'DELETE', 'PATCH', 'OPTIONS', 'get'])('by %s is refused with 405', (method) => {
    expect(ask(method, path).status).toBe(405)
  })

  it('by HEAD has the headers of GET', () => {
    expect(ask('HEAD', path).headers).toEqual(ask('GET', path).headers)
  })

  it('refusals are XHTML documents that say what happened', () => {
    const answer = ask('GET', '/latest/meta-data/nonsense')
    expect(answer).toMatchObject({ status: 404, type: 'text/html' })
    expect(answer.text).toMatch(/^<\?xml .*<title>404 - Not Found<\/title>.*<\/html>\n$/s)
    expect(ask('GET', path, { instance: required }).text).toContain('<h1>401 - Unauthorized</h1>')
  })
})

describe('the tree', () => {
  it('answers every path of the hwdb entry with the value of the instance', () => {
    const instance = { ...v1, userData: Buffer.from('#cloud-config\n') }
    const base = new URL(aws.hwdb.dataUrl).pathname
    const values = Object.entries(aws.hwdb.wellKnown).map(([field, path]) => [field, get(base + path, instance)])
    expect(Object.fromEntries(values)).toEqual({
      hostname: 'ip-172-31-16-10.eu-central-1.compute.internal',
      region: 'eu-central-1',
      zone: 'eu-central-1a',
      'ipv4-public': '203.0.113.10',
      'ipv6-public': '2001:db8:1f:10::10',
      'ssh-key': expect.stringMatching(/^ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI[\w+/=]{43} bootwright$/),
      userdata: '#cloud-config\n',
    })
  })

  it('lists versions at the root, and serves each of them', () => {
    const versions = get('/').split('\n')
    expect(versions).toContain('2009-04-04')
    expect(versions.at(-1)).toBe('latest')
    for (const version of versions) expect(get(`/${version}/meta-data/instance-id`)).toBe(v1.id)
    expect(get('/2021-03-24/meta-data/instance-id')).toBe('404')
  })

  it('lists a directory with and without a trailing slash, sub-directories marked', () => {
    expect(get('/latest/')).toBe('dynamic\nmeta-data')
    expect(get('/latest/', { ...v1, userData: new Uint8Array() })).toBe('dynamic\nmeta-data\nuser-data')
    expect(get('/latest/meta-data/placement')).toBe('availability-zone\navailability-zone-id\nregion')
    expect(get('/latest/meta-data/placement/')).toBe(get('/latest/meta-data/placement'))
    expect(get('/latest/meta-data/').split('\n')).toEqual(
      expect.arrayContaining(['ami-id', 'network/', 'public-keys/']),
    )
  })

  it('lists keys with their names', () => {
    const sshKeys = ['one', 'two'].map((name) => ({ name, openssh: `ssh-ed25519 AAAA ${name}` }))
    const instance = { ...v1, sshKeys }
    expect(get('/latest/meta-data/public-keys/', instance)).toBe('0=one\n1=two')
    expect(get('/latest/meta-data/public-keys/1/', instance)).toBe('openssh-key')
    expect(get('/latest/meta-data/public-keys/1/openssh-key', instance)).toBe('ssh-ed25519 AAAA two')
    expect(get('/latest/meta-data/public-keys/2/openssh-key', instance)).toBe('404')
  })

  it('describes each interface below its address', () => {
    const [nic] = v1.interfaces
    const base = '/latest/meta-data/network/interfaces/macs/'
    expect(get(base)).toBe(`${nic.mac}/`)
    expect(get(`${base}${nic.mac}/device-number`)).toBe('0')
    expect(get(`${base}${nic.mac.replaceAll(':', '%3a')}/local-ipv4s`)).toBe(nic.ipv4)
    expect(get(`${base}${nic.mac}/ipv4-associations/${nic.publicIpv4}`)).toBe(nic.ipv4)
    expect(get(`${base}06:00:00:00:00:00/device-number`)).toBe('404')
  })

  it('has nothing where the instance has nothing', () => {
    const [nic] = v1.interfaces
    const bare = {
      ...v1,
      interfaces: [{ ...nic, publicIpv4: undefined, ipv6: [] }],
      sshKeys: [],
      role: undefined,
    } satisfies typeof v1
    for (const path of ['user-data', 'meta-data/public-ipv4', 'meta-data/public-hostname', 'meta-data/ipv6']) {
      expect(get(`/latest/${path}`, bare), path).toBe('404')
    }
    for (const path of [
      'public-keys/',
      'iam/info',
      'iam/security-credentials/',
      'spot/termination-time',
      'tags/instance',
    ]) {
      expect(get(`/latest/meta-data/${path}`, bare), path).toBe('404')
    }
  })

  it.for([
    'latest/meta-data',
    '/latest/meta-data/instance-id/',
    '/latest//meta-data/',
    '/latest/meta-data/../user-data',
    '/latest/meta-data/__proto__',
    '/latest/meta-data/constructor/name',
    '/LATEST/meta-data/',
  ])('has nothing at %s', (path) => {
    expect(ask('GET', path).status).toBeGreaterThanOrEqual(400)
  })

  it('refuses malformed escapes with 400', () => {
    expect(ask('GET', '/latest/meta-data/%zz').status).toBe(400)
  })

  it('gives user data as it is, whatever the bytes', () => {
    const userData = Uint8Array.from({ length: 256 }, (_, index) => index)
    const response = aws.answer(request('GET', '/latest/user-data'), { ...v1, userData }, START, PLAIN)
    expect(Buffer.from(response.body)).toEqual(Buffer.from(userData))
    expect(headerValue(response.headers, 'content-type')).toBe('application/octet-stream')
  })

  it('shows tags only when that is enabled', () => {
    const tags = { Name: 'x', Environment: 'Dev' }
    const enabled = {
      ...v1,
      tags,
      metadataOptions: { ...v1.metadataOptions, instanceMetadataTags: 'enabled' as const },
    }
    expect(get('/latest/meta-data/tags/instance/', enabled)).toBe('Environment\nName')
    expect(get('/latest/meta-data/tags/instance/Environment', enabled)).toBe('Dev')
    expect(get('/latest/meta-data/tags/instance/Name', { ...v1, tags })).toBe('404')
  })
})

describe('documents', () => {
  it('identify the instance', () => {
    expect(JSON.parse(get('/latest/dynamic/instance-identity/document'))).toMatchObject({
      accountId: '123456789012',
      instanceId: v1.id,
      privateIp: '172.31.16.10',
      pendingTime: '2026-01-01T00:00:00Z',
      kernelId: null,
      version: '2017-09-30',
    })
  })

  it('prove it with three signatures', () => {
    const path = '/latest/dynamic/instance-identity'
    const document = Buffer.from(get(`${path}/document`))
    expect(get(`${path}/`)).toBe('document\npkcs7\nrsa2048\nsignature')
    const rsa = new X509Certificate(signer.identity(identitySignerName(v1)).certificate)
    const signature = Buffer.from(get(`${path}/signature`), 'base64')
    expect(verify('sha256', document, rsa.publicKey, signature)).toBe(true)
    for (const name of ['pkcs7', 'rsa2048']) {
      const cms = Buffer.from(get(`${path}/${name}`), 'base64')
      expect(cms.includes(document), name).toBe(true)
      const kind = name === 'pkcs7' ? 'dsa' : 'rsa'
      expect(cms.includes(signer.identity(identitySignerName(v1), kind).certificate), name).toBe(true)
    }
    expect(get(`${path}/rsa2048`)).toBe(get(`${path}/rsa2048`))
  })

  it('credentials are new each hour, live for six, and say that they are fake', () => {
    const path = '/latest/meta-data/iam/security-credentials/bootwright-fake-role'
    const first = JSON.parse(ask('GET', path).text)
    expect(get('/latest/meta-data/iam/security-credentials/')).toBe('bootwright-fake-role')
    expect(first).toMatchObject({
      Code: 'Success',
      Type: 'AWS-HMAC',
      LastUpdated: '2026-05-05T06:00:00Z',
      Expiration: '2026-05-05T12:00:00Z',
      AccessKeyId: expect.stringContaining('FAKE'),
      SecretAccessKey: expect.stringContaining('fake'),
    })
    expect(JSON.parse(ask('GET', path, { nowMs: START + 60_000 }).text)).toEqual(first)
    expect(JSON.parse(ask('GET', path, { nowMs: START + 3_600_000 }).text).Token).not.toBe(first.Token)
    expect(get('/latest/meta-data/iam/security-credentials/other')).toBe('404')
  })

  it('spot and maintenance notices appear when they are given', () => {
    const atMs = START + 120_000
    const instance = {
      ...v1,
      spotInterruption: { action: 'terminate', atMs },
      scheduledEvents: [
        {
          code: 'system-reboot',
          eventId: 'instance-event-1',
          description: 'scheduled reboot',
          notBeforeMs: atMs,
          notAfterMs: atMs,
          state: 'active',
        },
      ],
    } satisfies typeof v1
    expect(get('/latest/meta-data/spot/termination-time', instance)).toBe('2026-05-05T06:09:08Z')
    expect(JSON.parse(get('/latest/meta-data/spot/instance-action', instance))).toEqual({
      action: 'terminate',
      time: '2026-05-05T06:09:08Z',
    })
    expect(JSON.parse(get('/latest/meta-data/events/maintenance/scheduled', instance))).toMatchObject([
      { Code: 'system-reboot', NotBefore: '05 May 2026 06:09:08 GMT' },
    ])
    expect(get('/latest/meta-data/events/maintenance/history', instance)).toBe('[]')
    expect(get('/latest/meta-data/events/maintenance/scheduled')).toBe('[]')
  })
})

describe('smbios()', () => {
  it('is what systemd and cloud-init look for', () => {
    const identity = aws.smbios(v1)
    expect(hwdbModalias(identity)).toMatch(/^dmi:bvnAmazonEC2:.*:catAmazon EC2:$/)
    expect(identity.system?.uuid).toMatch(/^ec2[0-9a-f]{5}-[0-9a-f]{4}-4[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/)
    expect(identity.system?.serialNumber).toBe(identity.system?.uuid)
    expect(identity.system?.productName).toBe('m5.large')
    expect(identity.baseboard?.assetTag).toBe(v1.id)
  })

  it('differs between instances', () => {
    expect(aws.smbios(awsInstance({ id: 'i-12345678' })).system?.uuid).not.toBe(aws.smbios(v1).system?.uuid)
  })

  it('hwdbModalias() drops what the kernel drops, and does not match others', () => {
    expect(hwdbModalias({ bios: { vendor: 'A:b c\u00e9\n' } })).toBe('dmi:bvnAbc:')
    expect(hwdbModalias({ bios: { vendor: 'Xen' } })).not.toMatch(/^dmi:bvnAmazonEC2:/)
  })
})
