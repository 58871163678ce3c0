import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type FileServer, parseServeFault, serveDirectory } from '../../release/index.ts'
import type { BootwrightError } from '../../system/index.ts'
import { type DownloadOptions, openDownload } from './download.ts'

const PAYLOAD = randomBytes(300_000)
const MIB = 1024 * 1024
const FAST = { maxBytes: MIB, backOffMs: () => 0, stall: { bytesPerSecond: 1000, windowMs: 200 } }

let directory: string
let server: FileServer

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bootwright-download-'))
  await writeFile(join(directory, 'payload'), PAYLOAD)
  await writeFile(join(directory, 'empty'), '')
  await mkdir(join(directory, 'folder'))
  server = await serveDirectory(directory)
})

afterAll(async () => {
  await server[Symbol.asyncDispose]()
  await rm(directory, { recursive: true })
})

async function fetched(url: string, options: Partial<DownloadOptions> = {}): Promise<Buffer> {
  const { body } = await openDownload(url, { ...FAST, ...options })
  const chunks: Buffer[] = []
  for await (const piece of body) chunks.push(Buffer.from(piece))
  return Buffer.concat(chunks)
}

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

describe('openDownload()', () => {
  it('gives the bytes, and what the server says about them', async () => {
    const download = await openDownload(`${server.url}/payload`, FAST)
    expect(download).toMatchObject({ size: PAYLOAD.byteLength, etag: expect.stringContaining('"') })
    expect(download.lastModified?.getTime()).toBeGreaterThan(Date.now() - 60_000)
    await download.close()
    expect(await fetched(`${server.url}/payload`)).toEqual(PAYLOAD)
    expect(await fetched(`${server.url}/empty`)).toEqual(Buffer.alloc(0))
  })

  it('takes a file from the disk', async () => {
    expect(await fetched(pathToFileURL(join(directory, 'payload')).href)).toEqual(PAYLOAD)
    expect(await fetched(`file:${directory}/empty`)).toEqual(Buffer.alloc(0))
    await expect(fetched(`file://${directory}/none`)).rejects.toMatchObject({ detail: { reason: 'not-found' } })
    await expect(fetched(`file://${directory}/folder`)).rejects.toMatchObject({ detail: { reason: 'address' } })
    await expect(fetched('file://host/x')).rejects.toMatchObject({ detail: { reason: 'address' } })
    const small = { maxBytes: 1000 }
    await expect(fetched(`file://${directory}/payload`, small)).rejects.toMatchObject({
      detail: { reason: 'too-large' },
    })
  })

  it.for(['truncate 100000 times 2', 'stall 100000 times 1', 'status 503 times 4', 'truncate 0 times 3'])(
    'goes on where it broke: %s',
    async (fault) => {
      using _ = server.fail(parseServeFault(`/payload ${fault}`))
      const before = server.requests.length
      const resumed: number[] = []
      const bytes = await fetched(`${server.url}/payload`, { onRetry: (_failure, from) => resumed.push(from) })
      expect(sha256(bytes)).toBe(sha256(PAYLOAD))
      expect(resumed.length).toBe(Number(fault.at(-1)))
      const asked = server.requests.slice(before).map(({ range }) => range)
      const ranges = resumed.map((from) => (from === 0 ? undefined : `bytes=${from}-`))
      expect(asked.slice(1)).toEqual(ranges)
      if (fault.includes('100000')) expect(resumed[0]).toBe(100_000)
    },
  )

  it('begins again behind a server that knows no ranges, and passes over what it has', async () => {
    let count = 0
    const simple = createServer((_request, response) => {
      response.writeHead(200, { 'content-length': PAYLOAD.byteLength })
      if (count++ === 0) response.write(PAYLOAD.subarray(0, 70_000), () => setTimeout(() => response.destroy(), 50))
      else response.end(PAYLOAD)
    }).listen(0, '127.0.0.1')
    await once(simple, 'listening')
    try {
      expect(await fetched(`http://127.0.0.1:${(simple.address() as AddressInfo).port}/`)).toEqual(PAYLOAD)
      expect(count).toBe(2)
    } finally {
      simple.close()
    }
  })

  it.for<[string, string, RegExp]>([
    ['/payload truncate 1000', 'broken', /connection failed|ended after/],
    ['/payload stall 0', 'stalled', /fewer than 1000 bytes a second/],
    ['/payload slow 100', 'stalled', /fewer than 1000 bytes a second/],
    ['/payload status 500', 'status', /answered 500/],
    ['/payload status 403', 'status', /answered 403/],
    ['/payload status 404', 'not-found', /there is none/],
    ['/payload status 401', 'unauthorized', /answered 401/],
    ['/payload endless', 'too-large', /at most 1048576 bytes/],
    ['/payload redirect http://localhost:1/payload', 'redirected', /another host, "localhost"/],
    ['/payload redirect file:///etc/passwd', 'redirected', /neither http nor https/],
    ['/payload redirect /payload', 'redirected', /more than 10 times/],
  ])('gives up with one clear error: %s', async ([fault, reason, message]) => {
    using _ = server.fail(parseServeFault(fault))
    await expect(fetched(`${server.url}/payload`, { retries: 2 })).rejects.toMatchObject({
      code: 'DOWNLOAD_FAILED',
      detail: { reason },
      message: expect.stringMatching(message),
    })
  })

  it('asks again for what may pass, as often as told, and for nothing else', async () => {
    for (const [fault, requests] of [
      ['status 500', 3],
      ['status 403', 1],
      ['truncate 0', 3],
    ] as const) {
      using _ = server.fail(parseServeFault(`/payload ${fault}`))
      const before = server.requests.length
      await expect(fetched(`${server.url}/payload`, { retries: 2 })).rejects.toThrow()
      expect([fault, server.requests.length - before]).toEqual([fault, requests])
    }
  })

  it('follows a redirect on the same host, and to another one where it may', async () => {
    using _ = server.fail(parseServeFault('/elsewhere redirect /payload'))
    expect(await fetched(`${server.url}/elsewhere`)).toEqual(PAYLOAD)
    const other = server.url.replace('127.0.0.1', 'localhost')
    using _2 = server.fail(parseServeFault(`/away redirect ${other}/payload`))
    expect(await fetched(`${server.url}/away`, { mayLeaveHost: true })).toEqual(PAYLOAD)
  })

  it('refuses a body that is larger than it may be before it comes', async () => {
    await expect(openDownload(`${server.url}/payload`, { ...FAST, maxBytes: 1000 })).rejects.toMatchObject({
      detail: { reason: 'too-large' },
    })
  })

  it('refuses a part of another file', async () => {
    const grown = createServer((request, response) => {
      if (request.headers.range === undefined) {
        response.writeHead(200, { 'content-length': 100 })
        response.write('x'.repeat(40), () => setTimeout(() => response.destroy(), 50))
      } else {
        response.writeHead(206, { 'content-range': 'bytes 40-199/200' }).end('y'.repeat(160))
      }
    }).listen(0, '127.0.0.1')
    await once(grown, 'listening')
    try {
      const url = `http://127.0.0.1:${(grown.address() as AddressInfo).port}/`
      await expect(fetched(url)).rejects.toMatchObject({ detail: { reason: 'status', status: 206 } })
    } finally {
      grown.close()
    }
  })

  it('ends at its signal, while it waits and while it reads', async () => {
    for (const fault of ['/payload stall 0', '/payload stall 1000', '/payload status 503']) {
      using _ = server.fail(parseServeFault(fault))
      const controller = new AbortController()
      const reason = new Error('enough')
      const options = { signal: controller.signal, stall: { bytesPerSecond: 1, windowMs: 60_000 } }
      const ended = fetched(`${server.url}/payload`, { ...options, backOffMs: () => 60_000 }).catch((error) => error)
      setTimeout(() => controller.abort(reason), 100)
      expect(await ended).toBe(reason)
    }
  })

  it('tells no password and sends no control character to the terminal', async () => {
    const failure: BootwrightError = await fetched('http://me:secret@127.0.0.1:1/a\u202eb').catch((error) => error)
    expect(failure.code).toBe('DOWNLOAD_FAILED')
    expect(failure.message).not.toMatch(/secret|\u202e/)
    await expect(fetched('ftp://host/x')).rejects.toMatchObject({ detail: { reason: 'address' } })
  })
})
