import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readyToolchain, type Toolchain } from '../toolchain/index.ts'
import { connectVarlink } from './client.ts'
import { ECHO, echoService } from './echo-service.test-support.ts'
import { spawnVarlink } from './exec.ts'
import { formatInterface } from './idl/format.ts'
import { serveVarlink } from './server.ts'

const toolchain = (await readyToolchain().catch(() => undefined)) as Toolchain

let directory: string
let path: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bootwright-varlink-'))
  path = join(directory, 'socket')
})

afterEach(() => rm(directory, { recursive: true, force: true }))

/** A service that says this, whatever it hears, and ends the connection where it is told to. */
async function saying(text: string, ends = false): Promise<AsyncDisposable> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.once('data', () => (ends ? socket.end(text) : socket.write(text)))
  })
  const { promise, resolve } = Promise.withResolvers<void>()
  server.listen(path, resolve)
  await promise
  return {
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}

describe('connectVarlink()', () => {
  it('calls, many at once, and reads what an interface is', async () => {
    await using _server = await serveVarlink(echoService, path)
    await using client = await connectVarlink(path)
    const texts = Array.from({ length: 100 }, (_, index) => ({ text: String(index) }))
    expect(await Promise.all(texts.map((text) => client.call('org.example.echo.Echo', text)))).toEqual(texts)
    expect(await client.describe('org.example.echo')).toEqual(ECHO)
  })

  it('rejects with the error of the service, and goes on', async () => {
    await using _server = await serveVarlink(echoService, path)
    await using client = await connectVarlink(path)
    const refused = { name: 'VarlinkErrorReply', code: 'TOOL_FAILED', error: 'org.example.echo.Refused' }
    await expect(client.call('org.example.echo.Fail')).rejects.toMatchObject({
      ...refused,
      parameters: { why: 'it is its nature' },
      message: 'org.example.echo.Fail answered with org.example.echo.Refused {"why":"it is its nature"}',
    })
    await expect(Array.fromAsync(client.stream('org.example.echo.Fail'))).rejects.toMatchObject(refused)
    expect(await client.call('org.example.echo.Echo', {})).toEqual({})
  })

  it('takes replies one by one, behind and in front of other calls', async () => {
    await using _server = await serveVarlink(echoService, path)
    await using client = await connectVarlink(path)
    const before = client.call('org.example.echo.Echo', { number: 0 })
    const numbers: number[] = []
    for await (const { number } of client.stream<{ number: number }>('org.example.echo.Count', {
      to: 100,
      bytes: 50_000,
    })) {
      numbers.push(number)
    }
    expect(numbers).toEqual(Array.from({ length: 100 }, (_, index) => index + 1))
    expect(await before).toEqual({ number: 0 })
    expect(await client.call('org.example.echo.Echo', { number: 2 })).toEqual({ number: 2 })
  })

  it('ends the connection, and the calls on it, when replies are not taken to their end', async () => {
    await using server = await serveVarlink(echoService, path)
    await using client = await connectVarlink(path)
    const stream = client.stream('org.example.echo.Count', { to: 1_000_000, bytes: 100_000 })
    await stream.next()
    const later = client.call('org.example.echo.Echo')
    await Promise.all([expect(later).rejects.toMatchObject({ code: 'INTERRUPTED' }), stream.return(undefined)])
    await expect(client.call('org.example.echo.Echo')).rejects.toMatchObject({ code: 'INTERRUPTED' })
    while (server.connections > 0) await new Promise(setImmediate)
  })

  it('gives up at the signal', async () => {
    await using _server = await serveVarlink(echoService, path)
    await using client = await connectVarlink(path)
    const giveUp = new AbortController()
    const waiting = client.call('org.example.echo.Wait', { ms: 60_000 }, { signal: giveUp.signal })
    giveUp.abort(new Error('enough'))
    await expect(waiting).rejects.toThrow('enough')
    await expect(connectVarlink(path, { signal: giveUp.signal })).rejects.toThrow('enough')
  })

  it('sends what has no reply', async () => {
    await using _server = await serveVarlink(echoService, path)
    await using client = await connectVarlink(path)
    client.oneway('org.example.echo.Echo', { text: 'x' })
    expect(await client.call('org.example.echo.Echo', { text: 'y' })).toEqual({ text: 'y' })
  })

  it('upgrades, and hands the connection over', async () => {
    await using _server = await serveVarlink(echoService, path)
    await using client = await connectVarlink(path)
    const { reply, stream } = await client.upgrade('org.example.echo.Shout')
    stream.end('what follows')
    expect([reply, (await stream.toArray()).join('')]).toEqual([{}, 'WHAT FOLLOWS'])
    await expect(client.call('org.example.echo.Echo')).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  })

  it('stays what it was when the upgrade is refused', async () => {
    await using _server = await serveVarlink(echoService, path)
    await using client = await connectVarlink(path)
    await expect(client.upgrade('org.example.echo.Fail')).rejects.toMatchObject({ name: 'VarlinkErrorReply' })
    expect(await client.call('org.example.echo.Echo', {})).toEqual({})
  })

  it.for([
    ['[]\0', 'MALFORMED_INPUT', 'expected an object'],
    ['nonsense\0', 'MALFORMED_INPUT', 'JSON'],
    ['{"parameters":{},"continues":true}\0', 'MALFORMED_INPUT', 'more than one reply'],
    ['{"method":"a.b.C"}\0', 'MALFORMED_INPUT', 'expected only parameters, error, continues'],
    ['{"parameters":{}}', 'TOOL_FAILED', 'has ended the connection'],
    ['', 'TOOL_FAILED', 'has ended the connection'],
  ] as const)('rejects a service that says %j', async ([said, code, problem]) => {
    await using _server = await saying(said, true)
    await using client = await connectVarlink(path)
    const failure = { code, message: expect.stringContaining(problem) }
    await expect(client.call('a.b.C')).rejects.toMatchObject(failure)
    await expect(client.call('a.b.C')).rejects.toMatchObject({ code })
  })

  it('ends the connection to a service that answers what was not asked', async () => {
    await using _server = await saying('{}\0{}\0')
    await using client = await connectVarlink(path)
    expect(await client.call('a.b.C')).toEqual({})
    while (true) {
      const refusal = await client.call('a.b.C').catch((error: unknown) => error)
      if (refusal instanceof Error) {
        expect(refusal).toMatchObject({ code: 'MALFORMED_INPUT' })
        break
      }
    }
  })

  it('says that nobody listens', async () => {
    await expect(connectVarlink(path)).rejects.toMatchObject({
      code: 'HOST_UNSUITABLE',
      message: expect.stringContaining(`Cannot connect to ${path}`),
    })
  })
})

describe.skipIf(toolchain === undefined)(
  'spawnVarlink() and services of systemd (needs the tools: ./bootwright setup)',
  () => {
    /** They serve without privileges, without a machine, for as long as their connection. */
    const SERVICES = [
      '/usr/bin/bootctl',
      '/usr/lib/systemd/systemd-pcrextend',
      '/usr/bin/systemd-creds',
      '/usr/bin/systemd-repart',
    ]

    it.for(SERVICES)('reads each interface of %s, and writes it again byte for byte', async (program) => {
      await using service = await spawnVarlink(toolchain.command([program]))
      const info = await service.call<{ product: string; interfaces: string[] }>('org.varlink.service.GetInfo')
      expect(info.product).toMatch(/^systemd \(/)
      expect(info.interfaces.length).toBeGreaterThan(2)
      for (const name of info.interfaces) {
        const { description } = await service.call('org.varlink.service.GetInterfaceDescription', { interface: name })
        expect(formatInterface(await service.describe(name))).toBe(description)
      }
    })

    it('gets its answers and errors', async () => {
      await using service = await spawnVarlink(toolchain.command(['/usr/lib/systemd/systemd-pcrextend']))
      await expect(service.call('io.systemd.PCRExtend.Extend', { pcr: 'x' })).rejects.toMatchObject({
        error: 'org.varlink.service.InvalidParameter',
        parameters: { parameter: 'pcr' },
      })
      await expect(service.call('a.b.C')).rejects.toMatchObject({ error: 'org.varlink.service.MethodNotFound' })
    })

    it('rejects a program that is none', async () => {
      await using nobody = await spawnVarlink({ argv: ['true'] })
      await expect(nobody.call('a.b.C')).rejects.toMatchObject({ code: 'TOOL_FAILED' })
    })
  },
)
