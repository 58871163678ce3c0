import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { describe, expect, it } from 'vitest'
import { aws } from './aws.ts'
import { azure } from './azure.ts'
import { google } from './google.ts'
import { type Instance, LiveInstance } from './instance.ts'
import { oracle } from './oracle.ts'
import { OracleAuthentication } from './oracle-authentication.test-support.ts'
import type { Provider } from './provider.ts'
import { type MetadataService, type ServiceOptions, serveMetadata } from './service.ts'
import { makeSigner, pem } from './signer.ts'

const PROGRAM = resolve(import.meta.dirname, 'real-clients.test-support.ts')

interface Run {
  readonly exitCode: number | null
  readonly stdout: string
  readonly stderr: string
}

/** The client sees nothing of our own environment: what would send it elsewhere may be in there. */
async function client(
  name: string,
  service: MetadataService,
  variable: string,
  more: NodeJS.ProcessEnv = {},
  ...otherPorts: readonly number[]
): Promise<Run> {
  const port = service.addresses[0]?.port ?? 0
  const child = spawn(process.execPath, [PROGRAM, name, ...[port, ...otherPorts].map(String)], {
    env: { [variable]: `http://127.0.0.1:${port}`, AWS_CONFIG_FILE: '/dev/null', HOME: '/nonexistent', ...more },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  return { exitCode: child.exitCode, stdout, stderr }
}

function serve<I extends Instance>(
  provider: Provider<I>,
  instance = provider.instance(),
  options: ServiceOptions = {},
): Promise<MetadataService> {
  return serveMetadata(provider, new LiveInstance(instance), [{ host: '127.0.0.1', port: 0 }], options)
}

function answers({ exitCode, stdout, stderr }: Run): Record<string, unknown> {
  expect(stderr).toBe('')
  expect(exitCode).toBe(0)
  return JSON.parse(stdout)
}

describe('the guard of the clients', () => {
  it('lets them connect to our service and nowhere else', async () => {
    await using service = await serve(aws)
    const run = await client('escape', service, 'BOOTWRIGHT_ESCAPE')
    expect(run).toMatchObject({ exitCode: 3, stdout: '' })
    expect(run.stderr).toContain('refused to connect to {')
  })

  it('does not start one whose environment sends it elsewhere', async () => {
    await using service = await serve(aws)
    const run = await client('ec2-metadata-service', service, 'AWS_EC2_METADATA_SERVICE_ENDPOINT', {
      AWS_EC2_METADATA_SERVICE_ENDPOINT: 'http://127.0.0.2',
    })
    expect(run).toMatchObject({ exitCode: 1, stdout: '' })
    expect(run.stderr).toContain('must be sent to http://127.0.0.1:')
  })
})

describe('@aws-sdk/ec2-metadata-service', () => {
  it('gets a token and values with it', async () => {
    const instance = aws.instance()
    await using service = await serve(aws)
    const found = answers(await client('ec2-metadata-service', service, 'AWS_EC2_METADATA_SERVICE_ENDPOINT'))
    expect(found).toMatchObject({ id: instance.id, listing: 'availability-zone\navailability-zone-id\nregion' })
    expect(found.token).toMatch(/^[\w-]{54}==$/)
    expect(found.absent).toContain('404')
    const [first] = service.transcript.exchanges
    expect(first).toMatchObject({ method: 'PUT', target: '/latest/api/token', status: 200 })
    expect(service.transcript.exchanges.map(({ outcome }) => outcome)).not.toContain('failed')
  })
})

describe('@smithy/credential-provider-imds', () => {
  it('gets the credentials of the role', async () => {
    await using service = await serve(aws)
    const found = answers(await client('credential-provider-imds', service, 'AWS_EC2_METADATA_SERVICE_ENDPOINT'))
    expect(found).toMatchObject({ accessKeyId: 'ASIAFAKEBOOTWRIGHT00', sessionToken: expect.stringContaining('fake') })
    expect(service.transcript.exchanges.map(({ target }) => target)).toContain(
      '/latest/meta-data/iam/security-credentials/bootwright-fake-role',
    )
  })
})

describe('gcp-metadata', () => {
  it('gets values, trees, tokens and the identity', async () => {
    const instance = google.instance({ userData: Buffer.from('x') })
    await using service = await serve(google, instance)
    const found = answers(await client('gcp-metadata', service, 'GCE_METADATA_HOST'))
    expect(found).toMatchObject({
      id: instance.id,
      zone: 'projects/123456789012/zones/europe-west3-a',
      attributes: { 'user-data': 'x' },
      token: { token_type: 'Bearer' },
      identity: expect.stringMatching(/^[\w-]+\.[\w-]+\.[\w-]+$/),
      project: 'bootwright-project',
      universe: 'googleapis.com',
      absent: 404,
    })
  })
})

describe("@azure/identity's managed identity", () => {
  const variable = 'AZURE_POD_IDENTITY_AUTHORITY_HOST'

  it('gets a token of the system-assigned identity', async () => {
    await using service = await serve(azure)
    const { token } = answers(await client('managed-identity', service, variable)) as { token: string }
    const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
    expect(claims).toMatchObject({ aud: 'https://vault.azure.net', oid: azure.instance().identities[0]?.objectId })
  })

  it('gets one of the identity that it names, and is told when there is none', async () => {
    const identity = { clientId: '11111111-2222-4333-8444-555555555555', objectId: 'o', resourceId: '/r' }
    const instance = azure.instance()
    await using service = await serve(azure, azure.instance({ identities: [...instance.identities, identity] }))
    const named = { BOOTWRIGHT_CLIENT_ID: identity.clientId }
    const { token } = answers(await client('managed-identity', service, variable, named)) as { token: string }
    const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
    expect(claims.appid).toBe(identity.clientId)
    const other = { BOOTWRIGHT_CLIENT_ID: '99999999-2222-4333-8444-555555555555' }
    const refused = await client('managed-identity', service, variable, other)
    expect(refused.exitCode).toBe(1)
    expect(refused.stderr).toContain('Identity not found')
  })
})

describe("oci-common's instance principals", () => {
  const variable = 'BOOTWRIGHT_OCI_METADATA'

  it('authenticate with the certificate and key of the instance', async () => {
    const { tenantId } = oracle.instance()
    await using service = await serve(oracle)
    await using authentication = await OracleAuthentication.start()
    const found = answers(await client('oci-common', service, variable, {}, authentication.port))
    expect(found).toEqual({ tenancy: tenantId, keyId: `ST$${authentication.token}` })
    expect(authentication.judgements).toEqual([{ tenantId, certified: true, signed: true }])
    expect([...new Set(service.transcript.exchanges.map(({ target }) => target))].sort()).toEqual([
      '/opc/v2/identity/cert.pem',
      '/opc/v2/identity/intermediate.pem',
      '/opc/v2/identity/key.pem',
    ])
  })

  it.for([
    ['the key of another one', 'key.pem', 'rsa', { signed: false }],
    ['an authority that did not certify it', 'intermediate.pem', 'authority', { certified: false }],
  ] as const)('are refused with %s', async ([, file, what, judgement]) => {
    const other = makeSigner()
    const value =
      what === 'rsa'
        ? other.identity('other').privateKey.export({ type: 'pkcs1', format: 'pem' }).toString()
        : pem(other.authority.certificate)
    const faults = [{ path: `/opc/v2/identity/${file}`, fault: { kind: 'wrong-value', value } }] as const
    await using service = await serve(oracle, oracle.instance(), { faults })
    await using authentication = await OracleAuthentication.start()
    const run = await client('oci-common', service, variable, {}, authentication.port)
    expect(run.exitCode).toBe(1)
    expect(authentication.judgements[0]).toMatchObject(judgement)
  })
})
