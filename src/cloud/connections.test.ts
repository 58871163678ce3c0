import { once } from 'node:events'
import { connect } from 'node:net'
import { describe, expect, it } from 'vitest'
import { HOSTNAME, start, withFault } from './service.fixture.ts'

describe('bad HTTP', () => {
  it.for([
    'NONSENSE\r\n\r\n',
    'GET / HTTP/1.1\r\n\r\n\r\n',
    'GET / HTTP/1.1\r\nHost: x\r\nBad Header: 1\r\n\r\n',
    'PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
    '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
  ])('%j is answered with 400', async (text) => {
    await using imds = await start()
    expect(await imds.raw(text)).toMatch(/^HTTP\/1\.1 400 /)
    expect((await imds.fetch(HOSTNAME)).status).toBe(200)
  })

  it('is in the transcript', async () => {
    await using imds = await start()
    await imds.raw('NONSENSE\r\n\r\n')
    expect(imds.service.transcript.exchanges).toMatchObject([
      { outcome: 'malformed', status: 400, reason: expect.stringContaining('Parse Error') },
    ])
  })

  it('headers beyond the limit are answered with 431', async () => {
    await using imds = await start({ limits: { maxHeaderBytes: 1_024 } })
    expect(await imds.raw(`GET / HTTP/1.1\r\nHost: x\r\nA: ${'a'.repeat(2_000)}\r\n\r\n`)).toMatch(/^HTTP\/1\.1 431 /)
    expect(imds.service.transcript.exchanges).toMatchObject([{ outcome: 'too-large', status: 431 }])
  })

  it('a body is taken up to the limit, and answered with 413 beyond', async () => {
    await using imds = await start({ limits: { maxBodyBytes: 1_000 } })
    const put = (length: number): Promise<Response> =>
      imds.fetch('/latest/api/token', {
        method: 'PUT',
        headers: { 'X-aws-ec2-metadata-token-ttl-seconds': '60' },
        body: 'a'.repeat(length),
      })
    expect((await put(1_000)).status).toBe(200)
    expect((await put(1_001)).status).toBe(413)
    expect(imds.service.transcript.exchanges.map(({ outcome }) => outcome)).toEqual(['answered', 'too-large'])
  })

  it.for(['GET / HT', 'PUT /latest/api/token HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n123'])(
    'a request that never ends (%j) is cut off and noted once',
    async (text) => {
      const imds = await start({ limits: { requestMs: 100 } })
      await imds.raw(text).catch(() => '')
      await imds[Symbol.asyncDispose]()
      expect(imds.service.transcript.exchanges.map(({ outcome }) => outcome)).toEqual(['timed-out'])
    },
  )

  it('so is a second one on the same connection', async () => {
    await using imds = await start({ limits: { requestMs: 100 } })
    const socket = connect(imds.port, '127.0.0.1')
    socket.write(`GET ${HOSTNAME} HTTP/1.1\r\nHost: x\r\n\r\n`)
    await once(socket, 'data')
    socket.write('GET /')
    socket.on('error', () => undefined)
    await once(socket, 'close')
    expect(imds.service.transcript.exchanges.map(({ outcome }) => outcome)).toEqual(['answered', 'timed-out'])
  })

  it('requests sent all at once are answered in their order', async () => {
    await using imds = await start()
    const get = (path: string, rest = ''): string => `GET /latest/meta-data/${path} HTTP/1.1\r\nHost: x\r\n${rest}\r\n`
    const text = await imds.raw(get('mac') + get('local-ipv4') + get('instance-id', 'Connection: close\r\n'))
    const [, mac, ipv4, id] = text.split('HTTP/1.1 200 OK').map((answer) => answer.split('\r\n\r\n')[1])
    expect([mac, ipv4, id]).toEqual(['06:b0:07:00:00:01', '172.31.16.10', imds.live.current.id])
  })

  it('an idle connection is closed without a note', async () => {
    await using imds = await start({ limits: { requestMs: 50 } })
    expect(await imds.raw('')).toBe('')
    expect(imds.service.transcript.exchanges).toEqual([])
  })

  it('an answer may take longer than a request', async () => {
    await using imds = await withFault(
      { path: '**', fault: { kind: 'latency', delayMs: 200 } },
      { limits: { requestMs: 50 } },
    )
    expect((await imds.fetch(HOSTNAME)).status).toBe(200)
  })

  it('so may the answer to the second of two requests sent at once', async () => {
    await using imds = await withFault(
      { path: '/latest/meta-data/mac', fault: { kind: 'latency', delayMs: 200 } },
      { limits: { requestMs: 50 } },
    )
    const text = await imds.raw(
      `GET ${HOSTNAME} HTTP/1.1\r\nHost: x\r\n\r\nGET /latest/meta-data/mac HTTP/1.1\r\nHost: x\r\n\r\n`,
    )
    expect(text.match(/HTTP\/1\.1 200/g)).toHaveLength(2)
  })

  it('more connections than allowed are refused, and taken again when others end', async () => {
    await using imds = await start({ limits: { maxConnections: 1 } })
    const first = connect(imds.port, '127.0.0.1')
    first.write(`GET ${HOSTNAME} HTTP/1.1\r\nHost: x\r\n\r\n`)
    await once(first, 'data')
    await imds.raw('GET / HTTP/1.1\r\nHost: x\r\n\r\n').catch(() => '')
    expect(imds.service.transcript.exchanges.map(({ outcome }) => outcome)).toEqual(['answered', 'refused'])
    first.destroy()
    await expect
      .poll(() =>
        imds.fetch(HOSTNAME).then(
          ({ status }) => status,
          () => 0,
        ),
      )
      .toBe(200)
  })
})
