import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer, type Server } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { describe, expect, it } from 'vitest'
import { type AwsInstance, awsInstance } from './aws/instance.ts'
import { aws } from './aws.ts'
import { LiveInstance } from './instance.ts'
import { HOSTNAME, isOpen, loopback, NOW, start, v1, withFault } from './service.fixture.ts'
import { type MetadataService, serveMetadata } from './service.ts'
import { shortDigest } from './transcript.ts'

describe('serveMetadata()', () => {
  it('limits the rate of requests by its own clock', async () => {
    let now = NOW
    const limit = { path: '**', beyond: { requests: 1, seconds: 1 }, fault: { kind: 'status', status: 429 } } as const
    await using imds = await withFault(limit, { clock: () => now })
    const ask = async (): Promise<number> => (await imds.fetch(HOSTNAME)).status
    expect([await ask(), await ask()]).toEqual([200, 429])
    now += 1000
    expect([await ask(), await ask()]).toEqual([200, 429])
  })

  it('serves the token protocol, with its own clock', async () => {
    await using imds = await start({}, { metadataOptions: awsInstance().metadataOptions })
    expect((await imds.fetch(HOSTNAME)).status).toBe(401)
    const issued = await imds.fetch('/latest/api/token', {
      method: 'PUT',
      headers: { 'X-aws-ec2-metadata-token-ttl-seconds': '60' },
    })
    expect(issued.headers.get('date')).toBe('Tue, 05 May 2026 06:07:08 GMT')
    const headers = { 'X-aws-ec2-metadata-token': await issued.text() }
    const answer = await imds.fetch(`${HOSTNAME}?x=1`, { headers })
    expect(await answer.text()).toBe(imds.live.current.hostname)
    expect(answer.headers.get('content-length')).toBe(`${imds.live.current.hostname.length}`)
  })

  it('answers HEAD without a body', async () => {
    await using imds = await start()
    const text = await imds.raw(`HEAD ${HOSTNAME} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)
    expect(text).toMatch(/^HTTP\/1\.1 200 .*\r\n\r\n$/s)
    expect(text).toContain(`Content-Length: ${imds.live.current.hostname.length}\r\n`)
  })

  it('follows changes of the instance', async () => {
    await using imds = await start()
    expect((await imds.fetch('/latest/meta-data/spot/termination-time')).status).toBe(404)
    imds.live.update({ spotInterruption: { action: 'terminate', atMs: NOW } })
    expect(await (await imds.fetch('/latest/meta-data/spot/termination-time')).text()).toBe('2026-05-05T06:07:08Z')
  })

  it('names who asked, where that is known', async () => {
    await using imds = await start()
    const asker = { pid: 7, name: 'curl', unit: 'a.service' }
    await imds.fetch(HOSTNAME)
    imds.service.whoAsks = async ({ address }) => (address === '127.0.0.1' ? asker : undefined)
    await imds.fetch(HOSTNAME)
    imds.service.whoAsks = () => Promise.reject(new Error('gone'))
    expect((await imds.fetch(HOSTNAME)).status).toBe(200)
    expect(imds.service.transcript.exchanges.map(({ process }) => process)).toEqual([undefined, asker, undefined])
  })

  it('signs with other keys once they are rotated', async () => {
    await using imds = await start()
    const signature = async (): Promise<string> =>
      (await imds.fetch('/latest/dynamic/instance-identity/signature')).text()
    const before = await signature()
    expect(await signature()).toBe(before)
    imds.service.signer.rotate()
    expect(await signature()).not.toBe(before)
  })

  it('takes a whole URL as target, and HTTP/1.0', async () => {
    await using imds = await start()
    const text = await imds.raw(`GET http://169.254.169.254${HOSTNAME} HTTP/1.0\r\n\r\n`)
    expect(text).toMatch(new RegExp(`^HTTP/1.1 200 .*\r\n\r\n${imds.live.current.hostname}$`, 's'))
  })

  it('serves several listeners, also one that already listens, and owns them all', async () => {
    const server = createServer()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const live = new LiveInstance(awsInstance({ metadataOptions: v1 }))
    const ports: number[] = []
    {
      await using service = await serveMetadata(aws, live, [loopback, server, { host: '::1', port: 0 }])
      expect(service.addresses.map(({ address }) => address)).toEqual(['127.0.0.1', '127.0.0.1', '::1'])
      for (const { address, port } of service.addresses) {
        const host = address.includes(':') ? `[${address}]` : address
        expect((await fetch(`http://${host}:${port}${HOSTNAME}`)).status).toBe(200)
        ports.push(port)
      }
    }
    expect(server.listening).toBe(false)
    for (const port of ports.slice(0, 2)) await expect(isOpen(port)).resolves.toBe(false)
  })

  it('serves on a server that another process made and handed over', async () => {
    const script = `require('node:net').createServer().listen(0, '127.0.0.1', function () {
      process.send('listening', this, () => { this.close(); process.disconnect() })
    })`
    const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    const ended = once(child, 'close')
    const live = new LiveInstance(awsInstance({ metadataOptions: v1 }))
    const [, server] = (await once(child, 'message')) as [string, Server]
    await using service = await serveMetadata(aws, live, [server])
    await ended
    const answer = await fetch(`http://127.0.0.1:${service.addresses[0]?.port}${HOSTNAME}`)
    expect(await answer.text()).toBe(live.current.hostname)
  })

  it('loses no connection that comes between hand-over and the first wait', async () => {
    const server = createServer()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as { port: number }
    const early = connect(port, '127.0.0.1')
    early.write(`GET ${HOSTNAME} HTTP/1.0\r\n\r\n`)
    const live = new LiveInstance(awsInstance({ metadataOptions: v1 }))
    await using _service = await serveMetadata(aws, live, [server, loopback])
    expect((await buffer(early)).toString()).toContain(live.current.hostname)
  })

  it.for([
    { host: '0.0.0.0', port: 0 },
    { host: '169.254.169.254', port: 80 },
    { host: 'fd00:ec2::254', port: 80 },
    { host: 'localhost', port: 0 },
  ])('refuses to listen on $host', async (target) => {
    const live = new LiveInstance(awsInstance())
    await expect(serveMetadata(aws, live, [target])).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  })

  it('leaves nothing open when one of its listeners cannot be', async () => {
    const taken = createServer()
    taken.listen(0, '127.0.0.1')
    await once(taken, 'listening')
    const { port } = taken.address() as { port: number }
    const handedOver = createServer()
    handedOver.listen(0, '127.0.0.1')
    await once(handedOver, 'listening')
    const live = new LiveInstance(awsInstance())
    await expect(serveMetadata(aws, live, [handedOver, { host: '127.0.0.1', port }])).rejects.toMatchObject({
      code: 'HOST_UNSUITABLE',
      message: `Cannot listen on 127.0.0.1 port ${port}`,
    })
    expect(handedOver.listening).toBe(false)
    await closed(taken)
  })

  it('refuses an unknown endpoint and an instance of another cloud', async () => {
    const live = new LiveInstance(awsInstance())
    await expect(serveMetadata(aws, live, [{ ...loopback, endpoint: 'wireserver' }])).rejects.toMatchObject({
      code: 'UNKNOWN_NAME',
    })
    const foreign = new LiveInstance({ ...awsInstance(), cloud: 'other' })
    await expect(serveMetadata(aws, foreign, [loopback])).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  })

  it('ends while clients hang on it', async () => {
    const imds = await withFault({ path: '**', fault: { kind: 'silence' } })
    const idle = connect(imds.port, '127.0.0.1')
    await once(idle, 'connect')
    const silent = imds.raw(`GET ${HOSTNAME} HTTP/1.1\r\nHost: x\r\n\r\n`)
    for await (const { faults } of imds.service.transcript) if (faults.includes('silence')) break
    await imds[Symbol.asyncDispose]()
    await expect(silent.catch(() => '')).resolves.toBe('')
    await expect(isOpen(imds.port)).resolves.toBe(false)
  })
})

describe('the transcript', () => {
  it('has every request with its headers, a token only as the digest of what was issued', async () => {
    await using imds = await start()
    const issued = await imds.fetch('/latest/api/token', {
      method: 'PUT',
      headers: { 'X-aws-ec2-metadata-token-ttl-seconds': '60' },
    })
    const token = await issued.text()
    await imds.raw(
      `GET ${HOSTNAME}?q HTTP/1.1\r\nHost: a\r\nX-AWS-EC2-Metadata-Token: ${token}\r\nb: c\r\nConnection: close\r\n\r\n`,
    )
    const [put, get] = imds.service.transcript.exchanges
    expect(put).toMatchObject({ number: 1, method: 'PUT', hopLimit: 1, responseDigest: shortDigest(token) })
    expect(get).toMatchObject({
      number: 2,
      atMs: NOW,
      peer: { address: '127.0.0.1', port: expect.any(Number) },
      local: { address: '127.0.0.1', port: imds.port },
      endpoint: 'imds',
      method: 'GET',
      target: `${HOSTNAME}?q`,
      headers: [
        ['Host', 'a'],
        ['X-AWS-EC2-Metadata-Token', shortDigest(token)],
        ['b', 'c'],
        ['Connection', 'close'],
      ],
      outcome: 'answered',
      status: 200,
      responseBytes: imds.live.current.hostname.length,
    })
    expect(imds.service.transcript.toJsonLines()).not.toContain(token)
  })

  it('has requests whose client went away before the answer', async () => {
    await using imds = await withFault({ path: HOSTNAME, fault: { kind: 'latency', delayMs: 600_000 } })
    const socket = connect(imds.port, '127.0.0.1')
    socket.write(`GET ${HOSTNAME} HTTP/1.1\r\nHost: x\r\n\r\n`)
    // Once a later request over another connection has its answer, the first one has been taken.
    expect((await imds.fetch('/latest/meta-data/mac')).status).toBe(200)
    socket.destroy()
    for await (const { target, outcome, status, peer } of imds.service.transcript) {
      if (target !== HOSTNAME) continue
      expect({ outcome, status, address: peer.address }).toEqual({
        outcome: 'abandoned',
        status: undefined,
        address: '127.0.0.1',
      })
      break
    }
  })
})

/** A provider may hold a request until something changes, and may change the instance. */
describe('providers that wait and write', () => {
  const waiting = {
    ...aws,
    answer: (request: Parameters<typeof aws.answer>[0], instance: AwsInstance, nowMs: number) => {
      const body = Buffer.from(instance.hostname)
      if (request.method === 'POST') {
        return { status: 204, headers: [], body: Buffer.alloc(0), next: { ...instance, hostname: request.query } }
      }
      const untilMs = request.arrivedAtMs + Number(request.query)
      return instance.hostname === 'old' && nowMs < untilMs
        ? { holdUntilMs: untilMs }
        : { status: 200, headers: [], body }
    },
  }

  async function serve(): Promise<{ service: MetadataService; url: string }> {
    const live = new LiveInstance(awsInstance({ hostname: 'old' }))
    const service = await serveMetadata(waiting, live, [loopback])
    return { service, url: `http://127.0.0.1:${service.addresses[0]?.port}` }
  }

  it('answer at the change, not before', async () => {
    const { service, url } = await serve()
    await using _service = service
    const held = fetch(`${url}/?60000`).then((answer) => answer.text())
    expect((await fetch(`${url}/?new`, { method: 'POST' })).status).toBe(204)
    expect(await held).toBe('new')
  })

  it('answer at the latest when their time has come', async () => {
    const { service, url } = await serve()
    await using _service = service
    expect(await (await fetch(`${url}/?50`)).text()).toBe('old')
  })

  it('do not keep the service from ending', async () => {
    const { service, url } = await serve()
    const held = fetch(`${url}/?60000`).catch(() => 'cut')
    await expect(fetch(`${url}/?0`).then(({ status }) => status)).resolves.toBe(200)
    await service[Symbol.asyncDispose]()
    await expect(held).resolves.toBe('cut')
  })

  it('that fail are a 500 with the reason in the transcript', async () => {
    const failing = {
      ...aws,
      answer: (): never => {
        throw new RangeError('no such thing')
      },
    }
    await using service = await serveMetadata(failing, new LiveInstance(awsInstance()), [loopback])
    expect((await fetch(`http://127.0.0.1:${service.addresses[0]?.port}/`)).status).toBe(500)
    expect(service.transcript.exchanges).toMatchObject([{ outcome: 'failed', status: 500, reason: 'no such thing' }])
  })
})

async function closed(server: Server): Promise<void> {
  server.close()
  await once(server, 'close')
}
