import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { interfaceIndex } from '../../system/index.ts'
import {
  connectVarlink,
  serveVarlink,
  type VarlinkConnection,
  type VarlinkErrorReply,
  type VarlinkParameters,
  type VarlinkServer,
} from '../../varlink/index.ts'
import { answer, ok, type ScriptedEndpoint, scriptedEndpoint } from '../scripted-endpoint.ts'
import { accessPolicy, type PolkitAnswer } from './access.ts'
import { Broker } from './broker.ts'
import { brokerService } from './service.ts'
import { type BrokerSettings, DEFAULT_SETTINGS } from './settings.ts'

const LOOPBACK = interfaceIndex('lo') ?? 1
const WELL_KNOWN = { hostname: '/h', 'userdata-base': '/u', 'ipv4-public': '/ip' }
let endpoint: ScriptedEndpoint
let directory: string
let settings: BrokerSettings
let server: VarlinkServer
let connection: VarlinkConnection

beforeAll(async () => {
  endpoint = await scriptedEndpoint()
  directory = mkdtempSync(join(tmpdir(), 'imds-service-'))
  settings = {
    ...DEFAULT_SETTINGS,
    endpoint: { vendor: 'v', dataUrl: `${endpoint.url}/d`, addressIPv4: '192.0.2.1', wellKnown: WELL_KNOWN },
    runtimeDirectory: undefined,
    retryDelaysMs: [],
  }
  const path = join(directory, 'socket')
  server = await serveVarlink(
    brokerService(new Broker(settings), async () => undefined),
    path,
  )
  connection = await connectVarlink(path)
})
afterAll(async () => {
  await connection[Symbol.asyncDispose]()
  await server[Symbol.asyncDispose]()
  await endpoint[Symbol.asyncDispose]()
  rmSync(directory, { recursive: true })
})
beforeEach(() => {
  endpoint.answers = [ok('hi\0')]
  endpoint.clear()
})

async function get(parameters: VarlinkParameters, over = connection): Promise<unknown> {
  try {
    // No mark: only root may set one.
    return await over.call('io.systemd.InstanceMetadata.Get', {
      interface: LOOPBACK,
      firewallMark: null,
      ...parameters,
    })
  } catch (error) {
    const { error: name, parameters: facts } = error as VarlinkErrorReply
    const parameter = facts.parameter === undefined ? '' : ` ${facts.parameter}`
    return `${name.replace('io.systemd.InstanceMetadata.', '')}${parameter}`
  }
}

describe('brokerService()', () => {
  const invalid = (name: string): string => `org.varlink.service.InvalidParameter ${name}`

  it.for([
    [{ other: 1 }, invalid('other')],
    [{ key: 1 }, invalid('key')],
    [{ key: '/k', cache: 'yes' }, invalid('cache')],
    [{ key: '/k', refreshUSec: 1.5 }, invalid('refreshUSec')],
    [{ wellKnown: 'ipv4-public' }, invalid('wellKnown')],
    [{ wellKnown: 'nonsense' }, invalid('wellKnown')],
    [{}, invalid('key')],
    [{ key: '' }, invalid('key')],
    [{ key: 'k' }, invalid('key')],
    [{ key: '/\u00e4' }, invalid('key')],
    [{ key: '/a\n' }, invalid('key')],
    [{ key: '/a b' }, 'CommunicationFailure'],
    [{ key: '/k', wellKnown: 'hostname' }, invalid('key')],
    [{ wellKnown: 'base' }, 'WellKnownKeyUnset'],
    [{ wellKnown: 'region' }, 'WellKnownKeyUnset'],
    [{ key: '/k', interface: 0 }, invalid('interface')],
    [{ key: '/k', interface: -1 }, invalid('interface')],
    [{ key: '/k', interface: 2_000_000 }, 'CommunicationFailure'],
    [{ key: '/k', interface: 2 ** 40 }, invalid('interface')],
    [{ key: '/k', firewallMark: -1 }, invalid('firewallMark')],
    [{ key: '/k', firewallMark: 2 ** 32 }, invalid('firewallMark')],
    [{ key: '/k', refreshUSec: -1 }, invalid('refreshUSec')],
  ] as const)('refuses %j', async ([parameters, refusal]) => {
    expect(await get(parameters)).toBe(refusal)
    expect(endpoint.requests).toHaveLength(0)
  })

  it.for([
    [{ key: '/k' }, '/d/k'],
    [{ key: '/k', wellKnown: 'base' }, '/d/k'],
    [{ key: '/k', wellKnown: 'userdata_base' }, '/d/u/k'],
    [{ wellKnown: 'userdata_base' }, '/d/u'],
    [{ wellKnown: 'hostname' }, '/d/h'],
    [{ wellKnown: 'ipv4_public', key: null }, '/d/ip'],
    [{ key: '/k', wait: true, allowInteractiveAuthentication: true, refreshUSec: 0 }, '/d/k'],
  ] as const)('reads %j', async ([parameters, path]) => {
    expect(await get(parameters)).toEqual({ data: 'aGkA', interface: LOOPBACK })
    expect(endpoint.requests.map(({ line }) => line)).toEqual([`GET ${path}`])
  })

  it('gives one reply to who takes many', async () => {
    const replies = []
    const call = { key: '/k', interface: LOOPBACK, firewallMark: null }
    for await (const reply of connection.stream('io.systemd.InstanceMetadata.Get', call)) replies.push(reply)
    expect(replies).toEqual([{ data: 'aGkA', interface: LOOPBACK }])
  })

  it('passes an absence and an errno on', async () => {
    endpoint.answers = [answer(404, 'no')]
    expect(await get({ key: '/k' })).toBe('KeyNotFound')
    endpoint.answers = [answer(500)]
    expect(await get({ key: '/k' })).toBe('io.systemd.System')
  })

  it('says what it knows of the endpoint, and nothing else', async () => {
    expect(await connection.call('io.systemd.InstanceMetadata.GetVendorInfo')).toEqual({
      vendor: 'v',
      dataUrl: `${endpoint.url}/d`,
      addressIPv4: [192, 0, 2, 1],
      wellKnown: WELL_KNOWN,
    })
  })

  it('asks the endpoint once for many who ask for the same at the same time', async () => {
    const same = await Promise.all(
      Array.from({ length: 50 }, async () => {
        await using one = await connectVarlink(join(directory, 'socket'))
        return await get({ key: '/k' }, one)
      }),
    )
    expect(same).toEqual(Array.from({ length: 50 }, () => ({ data: 'aGkA', interface: LOOPBACK })))
    expect(endpoint.requests.length).toBeLessThan(50)
  })
})

describe('brokerService() without an endpoint', () => {
  it('supports nothing, which it says last', async () => {
    const path = join(directory, 'unconfigured')
    const broker = new Broker({ ...settings, endpoint: undefined })
    await using _server = await serveVarlink(
      brokerService(broker, async () => undefined),
      path,
    )
    await using client = await connectVarlink(path)
    expect(await get({ key: '/k' }, client)).toBe('NotSupported')
    expect(await get({ key: 'k' }, client)).toBe('org.varlink.service.InvalidParameter key')
    await expect(client.call('io.systemd.InstanceMetadata.GetVendorInfo')).rejects.toThrow(/NotSupported/)
  })
})

describe('accessPolicy()', () => {
  const OWN = 990
  const outcome = async (uid: number | undefined, polkit: PolkitAnswer | undefined): Promise<string> => {
    const details = { wellKnown: 'base', key: '/k' } as const
    const request = { peer: { uid }, details, mayAsk: false, signal: new AbortController().signal }
    return accessPolicy(
      OWN,
      async () => polkit,
    )(request).then(
      () => 'allowed',
      (error: VarlinkErrorReply) => error.error,
    )
  }

  it.for([
    [0, 'no', 'allowed'],
    [OWN, 'no', 'allowed'],
    [1000, 'yes', 'allowed'],
    [1000, 'no', 'org.varlink.service.PermissionDenied'],
    [1000, 'challenge', 'io.systemd.InteractiveAuthenticationRequired'],
    [1000, undefined, 'io.systemd.System'],
    [undefined, 'yes', 'org.varlink.service.PermissionDenied'],
  ] as const)('lets user %j, of whom polkit says %j, be %s', async ([uid, polkit, expected]) => {
    expect(await outcome(uid, polkit)).toBe(expected)
  })

  it('comes before what is remembered', async () => {
    const path = join(directory, 'denied')
    const broker = new Broker({ ...settings, runtimeDirectory: directory })
    let isAllowed = true
    const service = brokerService(broker, (request) =>
      accessPolicy(
        isAllowed ? Number(request.peer.uid) : -1,
        async () => 'no',
      )({ ...request, peer: { uid: isAllowed ? 0 : 1000 } }),
    )
    await using _server = await serveVarlink(service, path)
    await using client = await connectVarlink(path)
    expect(await get({ key: '/k' }, client)).toMatchObject({ data: 'aGkA' })
    isAllowed = false
    expect(await get({ key: '/k' }, client)).toBe('org.varlink.service.PermissionDenied')
  })
})
