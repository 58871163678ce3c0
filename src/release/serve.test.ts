import { once } from 'node:events'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { request as httpRequest } from 'node:http'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { run, runUnchecked } from '../system/index.ts'
import { parseRange } from './byte-range.ts'
import { type FileServer, parseServeFault, serveDirectory } from './index.ts'

let directory: string
let server: FileServer

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bootwright-serve-'))
  await mkdir(join(directory, 'public/sub dir'), { recursive: true })
  await writeFile(join(directory, 'secret'), 'secret')
  await writeFile(join(directory, 'public/digits'), '0123456789')
  await writeFile(join(directory, 'public/empty'), '')
  await writeFile(join(directory, 'public/sub dir/ü'), 'umlaut')
  await symlink('../secret', join(directory, 'public/out'))
  await symlink('digits', join(directory, 'public/in'))
  server = await serveDirectory(join(directory, 'public'))
})

afterAll(async () => {
  await server[Symbol.asyncDispose]()
  await rm(directory, { recursive: true })
})

const get = (path: string, headers: Record<string, string> = {}, method = 'GET') =>
  fetch(`${server.url}${path}`, { headers, method, redirect: 'manual' })

/** A target as it is, which fetch() would put in order. */
async function rawStatus(path: string): Promise<number | undefined> {
  const { hostname, port } = new URL(server.url)
  const { promise, resolve, reject } = Promise.withResolvers<number | undefined>()
  httpRequest({ hostname, port, path }, (response) => {
    response.resume()
    resolve(response.statusCode)
  })
    .on('error', reject)
    .end()
  return promise
}

describe('serveDirectory()', () => {
  it('serves files with length, tag and time', async () => {
    const response = await get('/digits')
    expect(response.status).toBe(200)
    expect(await response.text()).toBe('0123456789')
    expect(response.headers.get('content-length')).toBe('10')
    expect(response.headers.get('etag')).toMatch(/^"[0-9a-f-]+"$/)
    expect(await (await get('/sub%20dir/%C3%BC')).text()).toBe('umlaut')
    expect(await (await get('/empty')).text()).toBe('')
    const head = await get('/digits', {}, 'HEAD')
    expect([head.headers.get('content-length'), await head.text()]).toEqual(['10', ''])
  })

  it('serves parts, if the file is still the same', async () => {
    const etag = (await get('/digits')).headers.get('etag') ?? ''
    const part = await get('/digits', { range: 'bytes=3-5', 'if-range': etag })
    expect([part.status, part.headers.get('content-range'), await part.text()]).toEqual([206, 'bytes 3-5/10', '345'])
    const whole = await get('/digits', { range: 'bytes=3-5', 'if-range': '"other"' })
    expect([whole.status, await whole.text()]).toEqual([200, '0123456789'])
    const beyond = await get('/digits', { range: 'bytes=10-' })
    expect([beyond.status, beyond.headers.get('content-range')]).toEqual([416, 'bytes */10'])
  })

  it('answers a client that has it already', async () => {
    const first = await get('/digits')
    const etag = first.headers.get('etag') ?? ''
    expect((await get('/digits', { 'if-none-match': `"x", W/${etag}` })).status).toBe(304)
    expect((await get('/digits', { 'if-none-match': '"x"' })).status).toBe(200)
    const modified = first.headers.get('last-modified') ?? ''
    expect((await get('/digits', { 'if-modified-since': modified })).status).toBe(304)
    expect((await get('/digits', { 'if-modified-since': 'Thu, 01 Jan 1970 00:00:00 GMT' })).status).toBe(200)
  })

  it('gives nothing that lies outside', async () => {
    expect(await (await get('/in')).text()).toBe('0123456789')
    const paths = ['/../secret', '/%2e%2e/secret', '/out', '/sub%20dir/../../secret', '/%00', '/%ff', '/', '/missing']
    expect(await Promise.all(paths.map(rawStatus))).toEqual([400, 400, 404, 400, 400, 400, 404, 404])
    expect((await get('/digits', {}, 'DELETE')).status).toBe(405)
  })

  it('refuses a directory that is none, and a port that is taken', async () => {
    await expect(serveDirectory(join(directory, 'nothing'))).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    const port = Number(new URL(server.url).port)
    await expect(serveDirectory(directory, { port })).rejects.toMatchObject({ code: 'HOST_UNSUITABLE' })
  })

  it.for<[string, number, string]>([
    ['/digits status 503', 22, ''],
    ['/digits redirect http://127.0.0.1:1/x', 47, ''],
    ['/digits truncate 4', 18, '0123'],
    ['/digits stall 4', 28, '0123'],
    ['/digits slow 5', 28, '01'],
  ])('is wrong on request, in the eyes of curl: %s', async ([rule, status, output]) => {
    using _ = server.fail(parseServeFault(rule))
    const argv = ['curl', '-sS', '-f', '--noproxy', '*', '-L', '--max-redirs', '0', '-m', '1', `${server.url}/digits`]
    const result = await runUnchecked({ argv })
    expect(result.exitCode).toBe(status)
    expect(result.stdout.startsWith(output)).toBe(true)
    expect(result.stdout).not.toBe('0123456789')
    expect(server.requests.at(-1)).toMatchObject({ path: '/digits' })
  })

  it('changes a byte, and sends without end', async () => {
    using corrupt = server.fail(parseServeFault('/digits corrupt 2'))
    const bytes = Buffer.from(await (await get('/digits')).arrayBuffer())
    expect([...bytes.subarray(0, 4)]).toEqual([48, 49, 50 ^ 0xff, 51])
    corrupt[Symbol.dispose]()
    using _ = server.fail(parseServeFault('/digits endless'))
    const head = await run({
      argv: ['sh', '-c', `curl -sS --noproxy '*' ${server.url}/digits 2>/dev/null | head -c 1000000 | wc -c`],
    })
    expect(head.stdout.trim()).toBe('1000000')
  })
})

it('serveDirectory() takes connections from a server that is handed over, and closes it', async () => {
  const listening = createServer().listen(0, '127.0.0.1')
  await once(listening, 'listening')
  const { port } = listening.address() as AddressInfo
  {
    await using other = await serveDirectory(join(directory, 'public'), { server: listening })
    expect(other.url).toBe(`http://127.0.0.1:${port}`)
    expect(await (await fetch(`${other.url}/digits`)).text()).toBe('0123456789')
  }
  expect(listening.listening).toBe(false)
  await expect(fetch(`http://127.0.0.1:${port}/digits`)).rejects.toThrow()
})

it.for<[string, number, unknown]>([
  ['bytes=0-0', 10, { first: 0, last: 0 }],
  ['bytes=4-', 10, { first: 4, last: 9 }],
  ['bytes=4-100', 10, { first: 4, last: 9 }],
  ['bytes=-3', 10, { first: 7, last: 9 }],
  ['bytes=-30', 10, { first: 0, last: 9 }],
  ['bytes=-0', 10, 'unsatisfiable'],
  ['bytes=10-', 10, 'unsatisfiable'],
  ['bytes=0-', 0, 'unsatisfiable'],
  ['bytes=5-4', 10, undefined],
  ['bytes=-', 10, undefined],
  ['bytes=0-1,3-4', 10, undefined],
  ['lines=1-2', 10, undefined],
])('parseRange() reads %s of %i bytes', ([header, size, range]) => {
  expect(parseRange(header, size)).toEqual(range)
})
