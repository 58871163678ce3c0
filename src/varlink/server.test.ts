import { once } from 'node:events'
import { chmod, copyFile, mkdtemp, rm, stat } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { BootwrightError, runUnchecked } from '../system/index.ts'
import { readyToolchain, type Toolchain } from '../toolchain/index.ts'
import { connectVarlink } from './client.ts'
import { ECHO, echoService, heard } from './echo-service.test-support.ts'
import { formatInterface } from './idl/format.ts'
import { type ServerOptions, serveVarlink, type VarlinkServer } from './server.ts'

const toolchain = (await readyToolchain().catch(() => undefined)) as Toolchain

let directory: string
let path: string
let problems: BootwrightError[]

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bootwright-varlink-'))
  path = join(directory, 'socket')
  problems = []
})

afterEach(() => rm(directory, { recursive: true, force: true }))

function serve(limits: ServerOptions['limits'] = {}): Promise<VarlinkServer> {
  return serveVarlink(echoService, path, { limits, onProblem: (problem) => problems.push(problem) })
}

/** Sends bytes and gives back everything until the service ends the connection or has answered so many times. */
async function raw(bytes: string | Uint8Array, replies = Number.POSITIVE_INFINITY): Promise<string> {
  const socket = connect({ path, allowHalfOpen: true })
  // The service may have cut it before all was sent.
  socket.on('error', () => undefined)
  socket.write(bytes)
  let received = ''
  try {
    for await (const chunk of socket) {
      received += String(chunk)
      if (received.split('\0').length > replies) break
    }
  } catch {
    // Reset: the service has cut it before it read everything.
  }
  return received
}

const ECHO_CALL = '{"method":"org.example.echo.Echo","parameters":{"text":"hi"}}\0'
const ECHO_REPLY = '{"parameters":{"text":"hi"}}\0'

describe('serveVarlink()', () => {
  it.for([
    [ECHO_CALL, ECHO_REPLY],
    [ECHO_CALL.repeat(3), ECHO_REPLY.repeat(3)],
    ['{"method":"foo"}\0', '{"error":"org.varlink.service.MethodNotFound","parameters":{"method":"foo"}}\0'],
    ['{"method":""}\0', '{"error":"org.varlink.service.MethodNotFound","parameters":{"method":""}}\0'],
    [
      '{"method":"org.example.echo.toString"}\0',
      '{"error":"org.varlink.service.MethodNotFound","parameters":{"method":"org.example.echo.toString"}}\0',
    ],
    [
      '{"method":"org.example.echo.Missing"}\0',
      '{"error":"org.varlink.service.MethodNotImplemented","parameters":{"method":"org.example.echo.Missing"}}\0',
    ],
    [
      '{"method":"org.varlink.service.GetInfo","parameters":{"a":1}}\0',
      '{"error":"org.varlink.service.InvalidParameter","parameters":{"parameter":"a"}}\0',
    ],
    [
      '{"method":"org.varlink.service.GetInterfaceDescription","parameters":{"interface":null}}\0',
      '{"error":"org.varlink.service.InvalidParameter","parameters":{"parameter":"interface"}}\0',
    ],
    [
      '{"method":"org.varlink.service.GetInterfaceDescription","parameters":{"interface":"A"}}\0',
      '{"error":"org.varlink.service.InterfaceNotFound","parameters":{"interface":"A"}}\0',
    ],
    [
      '{"method":"org.example.echo.Echo","parameters":{"nested":{"mood":"bored"}}}\0',
      '{"error":"org.varlink.service.InvalidParameter","parameters":{"parameter":"mood"}}\0',
    ],
    // First of all, how it was called.
    ['{"method":"org.example.echo.Count"}\0', '{"error":"org.varlink.service.ExpectedMore"}\0'],
    [
      '{"method":"org.example.echo.Count","parameters":{"to":2},"more":true}\0',
      '{"parameters":{"number":1,"filling":""},"continues":true}\0{"parameters":{"number":2}}\0',
    ],
    [
      '{"method":"org.example.echo.Fail"}\0',
      '{"error":"org.example.echo.Refused","parameters":{"why":"it is its nature"}}\0',
    ],
  ] as const)('answers %j', async ([call, reply]) => {
    await using _server = await serve()
    expect(await raw(call, reply.split('\0').length - 1)).toBe(reply)
    expect(problems).toEqual([])
  })

  it.for([
    '',
    '{}\0',
    '[]\0',
    'garbage\0',
    '\0',
    `{"method":"a.b.C"} x\0`,
    '{"method":"a.b.C","foo":1}\0',
    'GET / HTTP/1.1\r\n\r\n\0',
  ])('ends the connection after %j, and goes on with the others', async (bytes) => {
    await using _server = await serve()
    await using other = await connectVarlink(path)
    const first = await raw(`${ECHO_CALL}${bytes}${ECHO_CALL}`, bytes === '' ? 2 : undefined)
    expect(first).toBe(bytes === '' ? ECHO_REPLY.repeat(2) : ECHO_REPLY)
    expect(problems.map(({ code }) => code)).toEqual(bytes === '' ? [] : ['MALFORMED_INPUT'])
    expect(await other.call('org.example.echo.Echo', { text: 'still' })).toEqual({ text: 'still' })
  })

  it('answers with an error of the system what a method throws or gives wrongly, and tells why', async () => {
    await using _server = await serve()
    const system = '{"error":"io.systemd.System","parameters":{"origin":"linux","errnoName":"EIO","errno":5}}\0'
    for (const method of ['Break', 'Lie', 'Babble'])
      expect(await raw(`{"method":"org.example.echo.${method}"}\0`, 1)).toBe(system)
    expect(problems.map(({ message }) => message)).toEqual([
      'org.example.echo.Break failed: oh',
      'org.example.echo.Lie gives "number", which is not as its interface says',
      'org.example.echo.Babble has more than one reply for a caller of one',
    ])
  })

  it('does what has no reply, and answers the next call', async () => {
    await using _server = await serve()
    const oneway = '{"method":"org.example.echo.Echo","parameters":{"text":"unheard"},"oneway":true}\0'
    const bad = '{"method":"no.such.Method","oneway":true}\0'
    expect(await raw(oneway + bad + ECHO_CALL, 1)).toBe(ECHO_REPLY)
    expect(heard.slice(-2)).toEqual(['unheard', 'hi'])
  })

  it('answers who says no more', async () => {
    await using server = await serve()
    const socket = connect({ path, allowHalfOpen: true })
    socket.end('{"method":"org.example.echo.Wait","parameters":{"ms":50}}\0')
    expect((await socket.toArray()).join('')).toBe('{"parameters":{}}\0')
    while (server.connections > 0) await sleep(5)
  })

  it('hands the connection over, with what came too early', async () => {
    await using _server = await serve()
    const shout = '{"method":"org.example.echo.Shout","upgrade":true}\0'
    expect(await raw(`${shout}loud{"method":`, 1)).toMatch(/^\{"parameters":\{\}\}\0(LOUD\{"METHOD":)?$/)
    // Without having been asked to, the method breaks.
    expect(await raw('{"method":"org.example.echo.Shout"}\0', 1)).toContain('io.systemd.System')
  })

  it('tells a method who calls', async () => {
    await using _server = await serve()
    await using client = await connectVarlink(path)
    expect(await client.call('org.example.echo.Peer')).toEqual({ uid: process.getuid?.() })
  })

  it('cuts a message of 100 MB when it is longer than allowed, and keeps none of it', async () => {
    await using server = await serve()
    const begun = process.memoryUsage.rss()
    expect(await raw(Buffer.alloc(100 * 1024 * 1024, 'x'))).toBe('')
    expect(problems.map(({ code, message }) => [code, message])).toEqual([
      ['MALFORMED_INPUT', expect.stringContaining('expected a NUL within 16777216 bytes')],
    ])
    expect(server.connections).toBe(0)
    expect(process.memoryUsage.rss() - begun).toBeLessThan(400 * 1024 * 1024)
  })

  it('takes a message that is as long as allowed', async () => {
    await using _server = await serve({ maxMessageBytes: ECHO_CALL.length - 1 })
    expect(await raw(ECHO_CALL, 1)).toBe(ECHO_REPLY)
    expect(await raw(ECHO_CALL.replace('{', '{ '))).toBe('')
  })

  it('bounds what all callers together have not finished', async () => {
    await using server = await serve({ maxPendingBytes: 1_500_000 })
    const halves = [connect(path), connect(path)]
    for (const half of halves) half.on('error', () => undefined).write(Buffer.alloc(1_000_000, 'x'))
    await Promise.race(halves.map((half) => new Promise((resolve) => half.resume().once('close', resolve))))
    expect(problems.map(({ message }) => message)).toEqual(['More than 1500000 bytes of messages on their way'])
    for (const half of halves) half.destroy()
    while (server.connections > 0) await sleep(5)
    expect(await raw(ECHO_CALL, 1)).toBe(ECHO_REPLY)
  })

  it('lets nobody take his time over a message', async () => {
    await using _server = await serve({ messageMs: 30 })
    await using idle = await connectVarlink(path)
    expect(await raw(`${ECHO_CALL}{"method":`)).toBe(ECHO_REPLY)
    expect(problems.map(({ code }) => code)).toEqual(['TIMED_OUT'])
    // Who has nothing to say may stay.
    expect(await idle.call('org.example.echo.Echo', {})).toEqual({})
  })

  it('waits with the next reply for a caller that does not read, and cuts him in the end', async () => {
    await using server = await serve({ replyMs: 100 })
    const deaf = connect(path)
    deaf.pause()
    deaf.on('error', () => undefined)
    deaf.write('{"method":"org.example.echo.Count","parameters":{"to":100000,"bytes":100000},"more":true}\0')
    while (problems.length === 0) await sleep(10)
    expect(problems.map(({ code }) => code)).toEqual(['TIMED_OUT'])
    while (server.connections > 0) await sleep(5)
    deaf.destroy()
  })

  it('takes so many connections and closes the others at once: 10,000 do no harm', async () => {
    await using server = await serve({ maxConnections: 64 })
    const kept = await Promise.all(Array.from({ length: 64 }, () => connectVarlink(path)))
    while (server.connections < 64) await sleep(1)
    let refused = 0
    for (let batch = 0; batch < 100; batch++) {
      const sockets = Array.from({ length: 100 }, () => connect(path))
      refused += (await Promise.all(sockets.map(isClosedByPeer))).filter(Boolean).length
    }
    expect([refused, problems.length, server.connections]).toEqual([10_000, 10_000, 64])
    for (const client of kept) expect(await client.call('org.example.echo.Echo', { number: 1 })).toEqual({ number: 1 })
    await Promise.all(kept.map((client) => client[Symbol.asyncDispose]()))
    expect(await raw(ECHO_CALL, 1)).toBe(ECHO_REPLY)
  }, 60_000)

  it.runIf(process.getuid?.() === 0)('takes fewer connections of one user, root excepted', async () => {
    await chmod(directory, 0o755)
    const onProblem = (problem: BootwrightError) => problems.push(problem)
    await using server = await serveVarlink(echoService, path, {
      mode: 0o666,
      limits: { maxConnectionsPerUid: 1 },
      onProblem,
    })
    const clients = [await connectVarlink(path), await connectVarlink(path)]
    const script = `
      const { connect } = require('node:net')
      const first = connect(process.argv[1], () => {
        first.write('{"method":"org.example.echo.Peer"}\\0')
        first.once('data', (reply) => {
          process.stdout.write(String(reply))
          const second = connect(process.argv[1]).on('error', () => undefined).resume()
          second.once('close', () => process.stdout.write('closed', () => process.exit()))
        })
      })`
    // Not this Node, which lies where only we may read.
    const program = join(directory, 'node')
    await copyFile(process.execPath, program)
    const { stdout } = await runUnchecked({
      argv: ['setpriv', '--reuid=65534', '--clear-groups', program, '-e', script, path],
    })
    expect(stdout).toBe('{"parameters":{"uid":65534}}\0closed')
    expect(problems.map(({ message }) => message)).toEqual(['More than 1 connections of user 65534'])
    for (const client of clients) expect(await client.call('org.example.echo.Echo', {})).toEqual({})
    await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()))
    while (server.connections > 0) await sleep(5)
  })

  it('ends all connections and takes its socket away when it ends', async () => {
    const server = await serve()
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    const idle = raw('')
    const waiting = raw('{"method":"org.example.echo.Wait","parameters":{"ms":60000}}\0')
    while (server.connections < 2) await sleep(1)
    await server[Symbol.asyncDispose]()
    expect(await Promise.all([idle, waiting])).toEqual(['', ''])
    await expect(stat(path)).rejects.toMatchObject({ code: 'ENOENT' })
  })

  it('rejects a path where something is, and one that cannot be', async () => {
    await using _server = await serve()
    await expect(serve()).rejects.toMatchObject({ code: 'HOST_UNSUITABLE' })
    await expect(serveVarlink(echoService, join(directory, 'no', 'such'))).rejects.toThrow(BootwrightError)
    expect(await raw(ECHO_CALL, 1)).toBe(ECHO_REPLY)
  })
})

async function isClosedByPeer(socket: Socket): Promise<boolean> {
  socket.on('error', () => undefined).resume()
  if (!socket.destroyed) await once(socket, 'close')
  return true
}

describe.skipIf(toolchain === undefined)('serveVarlink() and varlinkctl (needs the tools: ./bootwright setup)', () => {
  async function varlinkctl(...argv: readonly string[]) {
    const { exitCode, stdout, stderr } = await runUnchecked(toolchain.command(['varlinkctl', '--json=short', ...argv]))
    return [exitCode, stdout, stderr]
  }

  it('is shown with its interfaces and methods', async () => {
    await using _server = await serve()
    const info = {
      vendor: 'Bootwright',
      product: 'echo',
      version: '1',
      url: 'https://example.org/',
      interfaces: ['org.example.echo', 'org.varlink.service'],
    }
    expect(await varlinkctl('info', path)).toEqual([0, `${JSON.stringify(info)}\n`, ''])
    const text = await runUnchecked(toolchain.command(['varlinkctl', 'introspect', path, 'org.example.echo']))
    expect([text.exitCode, text.stdout.trimEnd()]).toEqual([0, formatInterface(ECHO).trimEnd()])
    const methods = await runUnchecked(toolchain.command(['varlinkctl', 'list-methods', path, 'org.example.echo']))
    expect(methods.stdout.trim().split('\n')).toContain('org.example.echo.Echo')
  })

  it('is called, once, for many replies, and without one', async () => {
    await using _server = await serve()
    const nested = '{"nested":{"mood":"glad","numbers":[9007199254740993],"by_name":{"a":{"word":"b"}}}}'
    expect(await varlinkctl('call', path, 'org.example.echo.Echo', nested)).toEqual([0, `${nested}\n`, ''])
    const [status, replies] = await varlinkctl('call', '--more', path, 'org.example.echo.Count', '{"to":3}')
    expect([status, String(replies).match(/"number":\d/g)]).toEqual([0, ['"number":1', '"number":2', '"number":3']])
    const oneway = await varlinkctl('call', '--oneway', path, 'org.example.echo.Echo', '{"text":"from varlinkctl"}')
    expect([oneway[0], heard.at(-1)]).toEqual([0, 'from varlinkctl'])
  })

  it.for([
    ['org.example.echo.Fail', '{}', /org\.example\.echo\.Refused/],
    ['org.example.echo.Echo', '{"nonsense":1}', /Invalid argument|InvalidParameter/],
    ['org.example.echo.Nothing', '{}', /No such device or address/],
    ['org.example.echo.Count', '{"to":1}', /called without 'more' flag/],
    ['org.example.echo.Break', '{}', /Input\/output error/],
  ] as const)('refuses %s %s', async ([method, parameters, said]) => {
    await using _server = await serve()
    const [status, , stderr] = await varlinkctl('call', path, method, parameters)
    expect([status, stderr]).toEqual([1, expect.stringMatching(said)])
  })

  it('is upgraded', async () => {
    await using _server = await serve()
    const command = toolchain.command(['varlinkctl', 'call', '--upgrade', path, 'org.example.echo.Shout', '{}'])
    const { stdout } = await runUnchecked(command, { input: 'what follows', timeoutMs: 10_000 })
    expect(stdout).toContain('WHAT FOLLOWS')
  })
})
