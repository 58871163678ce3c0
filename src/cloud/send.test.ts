import { describe, expect, it } from 'vitest'
import { GARBAGE } from './faults.ts'
import { HOSTNAME, NOW, start, withFault } from './service.fixture.ts'

describe('faults', () => {
  it('status: says what it is told, so many times', async () => {
    await using imds = await withFault({
      path: '/latest/**',
      times: 2,
      fault: { kind: 'status', status: 503, body: 'slow down' },
    })
    const answers = [await imds.fetch(HOSTNAME), await imds.fetch(HOSTNAME), await imds.fetch(HOSTNAME)]
    expect(answers.map(({ status }) => status)).toEqual([503, 503, 200])
    expect(await answers[0]?.text()).toBe('slow down')
    expect(imds.service.transcript.exchanges.map(({ outcome }) => outcome)).toEqual(['fault', 'fault', 'answered'])
  })

  it('status: with headers of its own', async () => {
    const headers = [['Retry-After', '7']] as const
    await using imds = await withFault({ path: '**', fault: { kind: 'status', status: 429, headers } })
    const answer = await imds.fetch(HOSTNAME)
    expect([answer.status, answer.headers.get('Retry-After')]).toEqual([429, '7'])
  })

  it('moved: sends clients elsewhere, and the truth is there', async () => {
    await using there = await start({}, { hostname: 'there.example' })
    const location = `http://127.0.0.1:${there.port}${HOSTNAME}`
    await using imds = await withFault({ path: HOSTNAME, times: 2, fault: { kind: 'moved', location } })
    const answer = await imds.fetch(HOSTNAME, { redirect: 'manual' })
    expect([answer.status, answer.headers.get('Location')]).toEqual([308, location])
    expect(await (await imds.fetch(HOSTNAME)).text()).toBe('there.example')
    expect(await (await imds.fetch(HOSTNAME)).text()).toBe(imds.live.current.hostname)
    expect(imds.service.transcript.exchanges.map(({ faults }) => faults)).toEqual([['moved'], ['moved'], []])
  })

  it('slow-body: the whole body, in pieces', async () => {
    await using imds = await withFault({ path: HOSTNAME, fault: { kind: 'slow-body', bytesPerSecond: 100 } })
    const { hostname } = imds.live.current
    const pieces: string[] = []
    for await (const piece of (await imds.fetch(HOSTNAME)).body ?? []) pieces.push(Buffer.from(piece).toString())
    expect(pieces.join('')).toBe(hostname)
    expect(pieces.length).toBeGreaterThan(1)
  })

  it('slow-body: does not keep the service from ending', async () => {
    const imds = await withFault({ path: HOSTNAME, fault: { kind: 'slow-body', bytesPerSecond: 0.001 } })
    const answer = await imds.fetch(HOSTNAME)
    await imds[Symbol.asyncDispose]()
    await expect(answer.text()).rejects.toThrow()
  })

  it('endless-body: begins with the truth and goes on until the client has enough', async () => {
    await using imds = await withFault({ path: HOSTNAME, fault: { kind: 'endless-body', piece: 'ab' } })
    const answer = await imds.fetch(HOSTNAME)
    expect(answer.headers.get('Content-Length')).toBeNull()
    let text = ''
    for await (const piece of answer.body ?? []) {
      text += Buffer.from(piece).toString()
      if (text.length > 1_000_000) break
    }
    const { hostname } = imds.live.current
    expect(text.startsWith(`${hostname}abab`)).toBe(true)
    expect(imds.service.transcript.exchanges[0]).toMatchObject({ outcome: 'fault', faults: ['endless-body'] })
    expect((await imds.fetch('/latest/meta-data/instance-id')).status).toBe(200)
  })

  it('endless-body: does not keep the service from ending, read or not', async () => {
    const imds = await withFault({ path: HOSTNAME, fault: { kind: 'endless-body' } })
    const answer = await imds.fetch(HOSTNAME)
    await imds[Symbol.asyncDispose]()
    await expect(answer.text()).rejects.toThrow()
  })

  it('wrong-clock: says another time than it is', async () => {
    await using imds = await withFault({ path: HOSTNAME, fault: { kind: 'wrong-clock', offsetSeconds: -86_400 } })
    const answer = await imds.fetch(HOSTNAME)
    expect(answer.headers.get('Date')).toBe(new Date(NOW - 86_400_000).toUTCString())
    expect(await answer.text()).toBe(imds.live.current.hostname)
  })

  it('can be switched while it runs', async () => {
    await using imds = await start()
    const outage = imds.service.faults.add({ path: '**', fault: { kind: 'status', status: 500 } })
    expect((await imds.fetch(HOSTNAME)).status).toBe(500)
    outage[Symbol.dispose]()
    expect((await imds.fetch(HOSTNAME)).status).toBe(200)
  })

  it('wrong-value: lies about a value, but not about errors', async () => {
    await using imds = await withFault({
      path: '/latest/meta-data/*',
      fault: { kind: 'wrong-value', value: 'impostor.example' },
    })
    expect(await (await imds.fetch(HOSTNAME)).text()).toBe('impostor.example')
    expect((await imds.fetch('/latest/meta-data/nonsense')).status).toBe(404)
    expect(imds.service.transcript.exchanges.map(({ faults }) => faults)).toEqual([['wrong-value'], []])
  })

  it('empty-error-body: takes the document from errors only', async () => {
    await using imds = await withFault({ path: '**', fault: { kind: 'empty-error-body' } })
    const missing = await imds.fetch('/latest/user-data')
    expect([missing.status, await missing.text()]).toEqual([404, ''])
    expect(await (await imds.fetch(HOSTNAME)).text()).toBe(imds.live.current.hostname)
  })

  it('truncated-body: announces more than it sends', async () => {
    await using imds = await withFault({ path: HOSTNAME, fault: { kind: 'truncated-body' } })
    const { hostname } = imds.live.current
    const text = await imds.raw(`GET ${HOSTNAME} HTTP/1.1\r\nHost: x\r\n\r\n`)
    expect(text).toContain(`Content-Length: ${hostname.length}\r\n`)
    expect(text.split('\r\n\r\n')[1]).toBe(hostname.slice(0, hostname.length >> 1))
    await expect(imds.fetch(HOSTNAME).then((answer) => answer.text())).rejects.toThrow()
  })

  it('truncated-body: even of an empty one', async () => {
    await using imds = await start(
      { faults: [{ path: '**', fault: { kind: 'truncated-body' } }] },
      { userData: new Uint8Array() },
    )
    expect(await imds.raw('GET /latest/user-data HTTP/1.1\r\nHost: x\r\n\r\n')).toMatch(
      /Content-Length: 1\r\n.*\r\n\r\n$/s,
    )
  })

  it('garbage: sends what is not HTTP and closes', async () => {
    await using imds = await withFault({ path: '**', fault: { kind: 'garbage' } })
    const text = await imds.raw(`GET ${HOSTNAME} HTTP/1.1\r\nHost: x\r\n\r\n`)
    expect(Buffer.from(text, 'latin1')).toEqual(Buffer.from(GARBAGE))
    await expect(imds.fetch(HOSTNAME)).rejects.toThrow()
  })

  it('reset: cuts the connection', async () => {
    await using imds = await withFault({ path: '**', fault: { kind: 'reset' } })
    await expect(imds.raw(`GET ${HOSTNAME} HTTP/1.1\r\nHost: x\r\n\r\n`)).rejects.toMatchObject({ code: 'ECONNRESET' })
  })

  it('silence: keeps the connection and says nothing; others are served meanwhile', async () => {
    await using imds = await withFault({ path: HOSTNAME, fault: { kind: 'silence' } })
    const abort = new AbortController()
    const silent = imds.fetch(HOSTNAME, { signal: abort.signal })
    for await (const { status } of imds.service.transcript) {
      expect(status).toBeUndefined()
      break
    }
    expect((await imds.fetch('/latest/meta-data/mac')).status).toBe(200)
    abort.abort()
    await expect(silent).rejects.toThrow()
  })

  it('latency: keeps one answer back while others get theirs', async () => {
    const imds = await withFault({ path: HOSTNAME, fault: { kind: 'latency', delayMs: 600_000 } })
    const slow = imds.fetch(HOSTNAME).catch(() => 'cut')
    expect((await imds.fetch('/latest/meta-data/mac')).status).toBe(200)
    await imds[Symbol.asyncDispose]()
    expect(await slow).toBe('cut')
    expect(imds.service.transcript.exchanges.map(({ outcome }) => outcome)).toEqual(['answered', 'abandoned'])
  })

  it('latency: ends, and goes together with another fault', async () => {
    await using imds = await start({
      faults: [
        { path: HOSTNAME, fault: { kind: 'latency', delayMs: 20 } },
        { path: HOSTNAME, fault: { kind: 'status', status: 500 } },
      ],
    })
    expect((await imds.fetch(HOSTNAME)).status).toBe(500)
    expect(imds.service.transcript.exchanges.map(({ faults }) => faults)).toEqual([['latency', 'status']])
  })

  it('can be added and taken away while the service runs', async () => {
    await using imds = await start()
    {
      using _fault = imds.service.faults.add({ path: '**', fault: { kind: 'status', status: 500 } })
      expect((await imds.fetch(HOSTNAME)).status).toBe(500)
    }
    expect((await imds.fetch(HOSTNAME)).status).toBe(200)
  })
})
