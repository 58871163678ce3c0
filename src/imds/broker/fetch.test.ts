import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { interfaceIndex } from '../../system/index.ts'
import type { Endpoint } from '../endpoint/endpoint.ts'
import { answer, ok, type ScriptedAnswer, type ScriptedEndpoint, scriptedEndpoint } from '../scripted-endpoint.ts'
import { fetchDirect, type TokenMemory } from './fetch.ts'
import { DEFAULT_REFRESH_USEC } from './limits.ts'
import { type BrokerSettings, DEFAULT_SETTINGS, type FetchRequest } from './settings.ts'

const LOOPBACK = interfaceIndex('lo') ?? 1
const IMDS = 'io.systemd.InstanceMetadata'
let endpoint: ScriptedEndpoint
let directory: string

beforeEach(async () => {
  endpoint = await scriptedEndpoint()
  directory = mkdtempSync(join(tmpdir(), 'imds-fetch-'))
})
afterEach(async () => {
  await endpoint[Symbol.asyncDispose]()
  rmSync(directory, { recursive: true })
})

interface Given {
  readonly endpoint?: Endpoint
  readonly settings?: Partial<BrokerSettings>
  readonly request?: Partial<FetchRequest>
  readonly tokens?: TokenMemory
  readonly signal?: AbortSignal
}

async function get(answers: ScriptedAnswer[], given: Given = {}): Promise<string> {
  endpoint.answers = answers
  const settings: BrokerSettings = {
    ...DEFAULT_SETTINGS,
    endpoint: { dataUrl: `${endpoint.url}/d`, ...given.endpoint },
    runtimeDirectory: undefined,
    retryDelaysMs: [1, 1, 1],
    ...given.settings,
  }
  const request = {
    key: '/k',
    interfaceIndex: LOOPBACK,
    refreshUSec: DEFAULT_REFRESH_USEC,
    cache: true,
    mark: undefined,
    wait: false,
    ...given.request,
  }
  const signal = given.signal ?? new AbortController().signal
  const { data } = await fetchDirect(
    settings,
    { ...request, interfaceIndex: LOOPBACK },
    given.tokens ?? new Map(),
    signal,
  )
  return Buffer.from(data).toString('latin1')
}

async function failureOf(answers: ScriptedAnswer[], given: Given = {}): Promise<string> {
  try {
    return `answered ${JSON.stringify(await get(answers, given))}`
  } catch (error) {
    const { error: name, parameters } = error as { error: string; parameters: { errno?: number } }
    return parameters.errno === undefined ? name.replace(`${IMDS}.`, '') : `${name} ${parameters.errno}`
  }
}

const withToken = (): Endpoint => ({
  tokenUrl: `${endpoint.url}/t`,
  tokenHeaderName: 'X-Token',
  refreshHeaderName: 'X-TTL',
  extraHeader: ['A: 1', 'B:2'],
  dataUrlSuffix: '?s',
})

describe('fetchDirect()', () => {
  it('asks for a token, then for the data, with headers in their order', async () => {
    expect(await get([ok('tok'), ok('hi\n')], { endpoint: withToken(), request: { refreshUSec: 1_500_000 } })).toBe(
      'hi\n',
    )
    const host = `Host: ${new URL(endpoint.url).host}`
    const own = [host, 'User-Agent: systemd-imdsd/262 (bootwright)', 'Accept: */*']
    expect(endpoint.requests.map(({ line, headers }) => ({ line, headers }))).toEqual([
      { line: 'PUT /t', headers: [...own, 'X-TTL: 2'] },
      { line: 'GET /d/k?s', headers: [...own, 'X-Token: tok', 'A: 1', 'B:2'] },
    ])
  })

  it.runIf(process.getuid?.() === 0)('asks for data from a low port, and for tokens from any', async () => {
    await get([ok('tok'), ok('hi')], { endpoint: withToken() })
    expect(endpoint.requests.map(({ isPortLow }) => isPortLow)).toEqual([false, true])
  })

  it.for([
    ['200 without a body', [ok('')], 'answered ""'],
    ['204', ['HTTP/1.1 204 None\r\n\r\n'], 'answered ""'],
    ['206', [answer(206, 'x')], 'answered "x"'],
    ['bytes that are no text', [ok(Buffer.from([0, 255]))], 'answered "\\u0000\u00ff"'],
    ['a redirect', [answer(302, 'moved', 'Location: /y\r\n'), ok('y')], 'answered "y"'],
    ['a redirect to a file', [answer(302, '', 'Location: file:///etc/hostname\r\n')], 'CommunicationFailure'],
    ['redirects without an end', [answer(302, '', 'Location: /y\r\n')], 'CommunicationFailure'],
    ['a redirect to nowhere', [answer(302)], 'io.systemd.System 5'],
    ['404', [answer(404)], 'KeyNotFound'],
    ['403', [answer(403)], 'NotAvailable'],
    ['401 without tokens', [answer(401)], 'io.systemd.System 5'],
    ['500', [answer(500)], 'io.systemd.System 5'],
    ['300', [answer(300)], 'io.systemd.System 5'],
    ['999', [answer(999)], 'io.systemd.System 5'],
    ['429, then 200', [answer(429), ok('x')], 'answered "x"'],
    ['503 three times, then 200', [answer(503), answer(503), answer(503), ok('x')], 'answered "x"'],
    ['503 for ever', [answer(503)], 'CommunicationFailure'],
    ['nothing, then 200', [undefined, ok('x')], 'answered "x"'],
    ['nothing for ever', [undefined], 'io.systemd.System 117'],
    [
      'a broken chunk, then 200',
      ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n', ok('x')],
      'answered "x"',
    ],
    ['a body that is cut', ['HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc'], 'CommunicationFailure'],
    [
      'a chunked body that is cut',
      ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc'],
      'CommunicationFailure',
    ],
    ['garbage', ['garbage\r\n\r\n'], 'CommunicationFailure'],
    ['4 MiB', [ok('x'.repeat(4_194_304))], `answered "${'x'.repeat(4_194_304)}"`],
    ['4 MiB and one byte', [ok('x'.repeat(4_194_305))], 'io.systemd.System 27'],
  ] as const)('answers %s', async ([, answers, outcome]) => {
    expect(await failureOf([...answers])).toBe(outcome)
    // What a body is for is told by the status alone.
    const withBody = answers.map((one) =>
      Buffer.isBuffer(one) && one.includes('Length: 0')
        ? Buffer.from(one.toString().replace('Length: 0\r\n\r\n', 'Length: 2\r\n\r\nno'))
        : one,
    )
    if (!outcome.startsWith('answered')) expect(await failureOf(withBody)).toBe(outcome)
  })

  it.for([
    ['404', [answer(404, 'no')], 'io.systemd.System 1073741955'],
    ['401', [answer(401, 'no')], 'io.systemd.System 1073741955'],
    ['500', [answer(500, 'no')], 'io.systemd.System 1073741955'],
    ['403', [answer(403, 'no')], 'NotAvailable'],
    ['429, then 200', [answer(429, 'no'), ok('x')], 'answered "x"'],
    ['404 without a body', [answer(404)], 'KeyNotFound'],
    ['4 MiB and one byte', [ok('x'.repeat(4_194_305))], 'io.systemd.System 1073741955'],
    ['503 for ever', [answer(503)], 'Timeout'],
  ] as const)('answers %s as systemd 262 does where that is wanted', async ([, answers, outcome]) => {
    expect(await failureOf([...answers], { settings: { compat: true, directDeadlineMs: 300 } })).toBe(outcome)
  })

  it.for([
    ['404', [answer(404, 'no')], 'io.systemd.System 5'],
    ['403', [answer(403, 'no')], 'NotAvailable'],
    ['429, then a token', [answer(429), ok('tok'), ok('x')], 'answered "x"'],
    ['a newline', [ok('tok\n')], 'io.systemd.System 22'],
    ['bytes that are no text', [ok(Buffer.from([0x74, 0xff]))], 'io.systemd.System 22'],
    ['4096 bytes', [ok('t'.repeat(4096)), ok('x')], 'answered "x"'],
    ['4097 bytes', [ok('t'.repeat(4097))], 'io.systemd.System 27'],
    ['nothing', [ok(''), ok('x')], 'answered "x"'],
  ] as const)('takes %s for a token', async ([, answers, outcome]) => {
    expect(await failureOf([...answers], { endpoint: withToken() })).toBe(outcome)
  })

  it('fetches another token when one is refused, and gives up when all are', async () => {
    expect(await get([ok('t1'), answer(401, 'no'), ok('t2'), ok('x')], { endpoint: withToken() })).toBe('x')
    expect(endpoint.requests.map(({ headers }) => headers.find((one) => one.startsWith('X-Token')))).toEqual([
      undefined,
      'X-Token: t1',
      undefined,
      'X-Token: t2',
    ])
    endpoint.clear()
    const always = Array.from({ length: 20 }, () => [ok('t'), answer(401)]).flat()
    expect(await failureOf(always, { endpoint: withToken() })).toBe('io.systemd.System 5')
    expect(endpoint.requests).toHaveLength(8)
  })

  it('uses one token for several requests, while it is valid', async () => {
    const tokens: TokenMemory = new Map()
    await get([ok('t1'), ok('x')], { endpoint: withToken(), tokens, request: { cache: false } })
    await get([ok('x')], { endpoint: withToken(), tokens, request: { cache: false } })
    expect(endpoint.requests.map(({ line }) => line)).toEqual(['PUT /t', 'GET /d/k?s', 'GET /d/k?s'])
    tokens.set(LOOPBACK, { token: 'old', validUntilUSec: 0 })
    await get([ok('t2'), ok('x')], { endpoint: withToken(), tokens, request: { cache: false } })
    expect(endpoint.requests.slice(3).map(({ line }) => line)).toEqual(['PUT /t', 'GET /d/k?s'])
  })

  it('remembers values, absences, the token and the interface', async () => {
    const settings = { runtimeDirectory: directory }
    await get([ok('tok'), ok('x')], { endpoint: withToken(), settings })
    expect(readFileSync(join(directory, 'ifname'), 'utf8')).toBe('lo\n')
    expect(await get([ok('other')], { endpoint: withToken(), settings })).toBe('x')
    expect(await failureOf([answer(404)], { endpoint: withToken(), settings, request: { key: '/n' } })).toBe(
      'KeyNotFound',
    )
    expect(await failureOf([ok('new')], { endpoint: withToken(), settings, request: { key: '/n' } })).toBe(
      'KeyNotFound',
    )
    expect(endpoint.requests.map(({ line }) => line)).toEqual(['PUT /t', 'GET /d/k?s', 'GET /d/n?s'])
    // Not for who does not want it.
    const request = { cache: false }
    expect(await get([ok('t'), ok('new')], { endpoint: withToken(), settings, request })).toBe('new')
  })

  it('remembers nothing of a failure but who answered', async () => {
    const settings = { runtimeDirectory: directory }
    expect(await failureOf([answer(500)], { settings })).toBe('io.systemd.System 5')
    expect(readFileSync(join(directory, 'ifname'), 'utf8')).toBe('lo\n')
    expect(await get([ok('x')], { settings })).toBe('x')
  })

  it('gives up at its deadline, whatever it waits for', async () => {
    expect(await failureOf(['silence'], { settings: { directDeadlineMs: 50 } })).toBe('Timeout')
    expect(await failureOf([undefined], { settings: { directDeadlineMs: 50, retryDelaysMs: [60_000] } })).toBe(
      'Timeout',
    )
  })

  it('ends when its caller has gone', async () => {
    const reason = new Error('gone')
    const controller = new AbortController()
    const fetching = get(['silence'], { signal: controller.signal })
    setTimeout(() => controller.abort(reason), 20)
    await expect(fetching).rejects.toBe(reason)
  })

  it('retries while nobody listens', async () => {
    const closed = await scriptedEndpoint()
    await closed[Symbol.asyncDispose]()
    expect(await failureOf([], { endpoint: { dataUrl: closed.url } })).toBe('io.systemd.System 117')
  })

  it.for([
    ['a blank in its address', { key: '/a b' }, {}],
    ['an address of another protocol', {}, { dataUrl: 'ftp://127.0.0.1' }],
    ['a header that would end its line', {}, { extraHeader: ['A: b\r\nC: d'] }],
    ['a host that is not there', {}, { dataUrl: 'http://does-not-exist.invalid' }],
  ] as const)('sends nothing for %s', async ([, request, changed]) => {
    expect(await failureOf([ok('x')], { request, endpoint: changed })).toBe('CommunicationFailure')
    expect(endpoint.requests).toHaveLength(0)
  })
})
