import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { runUnchecked } from '../system/index.ts'
import { readyToolchain, type Toolchain } from '../toolchain/index.ts'
import { passedDescriptors } from './activation.ts'
import { connectVarlink, type VarlinkConnection } from './client.ts'
import { spawnVarlink } from './exec.ts'

const toolchain = (await readyToolchain().catch(() => undefined)) as Toolchain
const PROGRAM = [process.execPath, join(import.meta.dirname, 'echo-service.test-support.ts')]

describe('passedDescriptors()', () => {
  it.for([
    [{}, []],
    [{ LISTEN_FDS: '2' }, []],
    [{ LISTEN_FDS: '2', LISTEN_PID: '41' }, []],
    [{ LISTEN_FDS: '0', LISTEN_PID: '42' }, []],
    [
      { LISTEN_FDS: '2', LISTEN_PID: '42' },
      [
        { fd: 3, name: 'unknown' },
        { fd: 4, name: 'unknown' },
      ],
    ],
    [
      { LISTEN_FDS: '2', LISTEN_PID: '42', LISTEN_FDNAMES: 'varlink' },
      [
        { fd: 3, name: 'varlink' },
        { fd: 4, name: 'unknown' },
      ],
    ],
  ] as const)('reads %o', ([env, descriptors]) => {
    expect(passedDescriptors(env, 42)).toEqual(descriptors)
  })

  it.for(['', '-1', '1x', '99999', '1e3'])('rejects LISTEN_FDS=%s', (count) => {
    expect(() => passedDescriptors({ LISTEN_FDS: count, LISTEN_PID: '42' }, 42)).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
    )
  })
})

describe('openPassed()', () => {
  it('serves the connection that it was started with', async () => {
    await using service = await spawnVarlink({ argv: PROGRAM })
    expect(await service.call('org.example.echo.Echo', { text: 'hi' })).toEqual({ text: 'hi' })
  })
})

describe.skipIf(toolchain === undefined)('openPassed() (needs the tools: ./bootwright setup)', () => {
  let directory: string

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'bootwright-varlink-'))
  })

  afterEach(() => rm(directory, { recursive: true, force: true }))

  it.for([
    ['each connection by itself', ['--accept']],
    ['all connections', []],
  ] as const)('serves %s when systemd passes it', async ([, options]) => {
    const path = join(directory, 'socket')
    const ended = new AbortController()
    const command = ['systemd-socket-activate', ...options, `--listen=${path}`, '--fdname=varlink', ...PROGRAM]
    // Tools that lie in a tree of their own run in a user namespace, where another number stands for this user.
    const uid = Number((await runUnchecked(toolchain.command(['id', '-u']))).stdout)
    const running = runUnchecked(toolchain.command(command), { signal: ended.signal }).catch(() => undefined)
    try {
      const clients: VarlinkConnection[] = []
      while (clients.length < 2) {
        const client = await connectVarlink(path).catch(() => sleep(20))
        if (client !== undefined) clients.push(client)
      }
      for (const client of clients) {
        expect(await client.call('org.example.echo.Peer')).toEqual({ uid })
        await client[Symbol.asyncDispose]()
      }
    } finally {
      ended.abort()
      await running
    }
  })

  it('answers varlinkctl, which starts it', async () => {
    const call = ['varlinkctl', 'call', `exec:${join(directory, 'service')}`, 'org.example.echo.Echo', '{"text":"hi"}']
    const script = `printf '#!/bin/sh\\nexec "%s" "%s"\\n' "$1" "$2" >"$0" && chmod +x "$0" && shift 2 && exec "$@"`
    const argv = ['sh', '-c', script, join(directory, 'service'), ...PROGRAM, ...call]
    const { stdout } = await runUnchecked(toolchain.command(argv))
    expect(JSON.parse(stdout)).toEqual({ text: 'hi' })
  })
})
