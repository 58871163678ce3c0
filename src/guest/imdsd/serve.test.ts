import { mkdtempSync, rmSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, describe, expect, it } from 'vitest'
import { ok, scriptedEndpoint } from '../../imds/index.ts'
import { run, runUnchecked } from '../../system/index.ts'
import { readyToolchain, type Toolchain } from '../../toolchain/index.ts'
import { connectVarlink, spawnVarlink, type VarlinkConnection } from '../../varlink/index.ts'
import { untilIdle } from '../serve-sockets.ts'

const toolchain = (await readyToolchain().catch(() => undefined)) as Toolchain
const MAIN = join(import.meta.dirname, '..', 'main.ts')
const directory = mkdtempSync(join(tmpdir(), 'bootwright-serve-'))
afterAll(() => rmSync(directory, { recursive: true }))

/** The broker on the connection that it is started with, as a unit with `Accept=yes` starts it. */
function broker(url: string): Promise<Awaited<ReturnType<typeof spawnVarlink>>> {
  return spawnVarlink({
    argv: [process.execPath, MAIN, 'systemd-imdsd'],
    env: { SYSTEMD_PROC_CMDLINE: '', SYSTEMD_IMDS_DATA_URL: url, RUNTIME_DIRECTORY: directory },
  })
}

describe('systemd-imdsd with a connection', () => {
  it('is the service, and ends with its connection', async () => {
    await using endpoint = await scriptedEndpoint([ok('hi')])
    await using service = await broker(endpoint.url)
    const call = { key: '/k', interface: 1, firewallMark: null }
    expect(await service.call('io.systemd.InstanceMetadata.Get', call)).toEqual({ data: 'aGk=', interface: 1 })
    expect(await service.call('io.systemd.InstanceMetadata.Get', call)).toEqual({ data: 'aGk=', interface: 1 })
    expect(endpoint.requests).toHaveLength(1)
    expect(await service.call('io.systemd.InstanceMetadata.GetVendorInfo')).toEqual({ dataUrl: endpoint.url })
  })
})

describe.skipIf(toolchain === undefined)('systemd-imdsd and varlinkctl (needs the tools: ./bootwright setup)', () => {
  it('has the interface that varlinkctl knows, and answers its calls', async () => {
    const script = `#!/bin/sh\nexec '${process.execPath}' '${MAIN}' "\${0##*/}"\n`
    const program = join(directory, 'systemd-imdsd')
    await writeFile(program, script, { mode: 0o755 })
    await using endpoint = await scriptedEndpoint([ok('hi')])
    const env = { SYSTEMD_PROC_CMDLINE: '', SYSTEMD_IMDS_DATA_URL: endpoint.url, SYSTEMD_IMDS_VENDOR: 'v' }
    const varlinkctl = async (...argv: string[]) => runUnchecked(toolchain.command(['varlinkctl', ...argv], { env }))
    const seen = await varlinkctl('introspect', `exec:${program}`, 'io.systemd.InstanceMetadata')
    expect(seen.stdout).toContain('method GetVendorInfo')
    const vendor = await varlinkctl(
      'call',
      '--json=short',
      `exec:${program}`,
      'io.systemd.InstanceMetadata.GetVendorInfo',
      '{}',
    )
    expect(JSON.parse(vendor.stdout)).toEqual({ vendor: 'v', dataUrl: endpoint.url })
    const got = await varlinkctl(
      'call',
      '--json=short',
      `exec:${program}`,
      'io.systemd.InstanceMetadata.Get',
      '{"key":"/k","interface":1,"firewallMark":null}',
    )
    expect(JSON.parse(got.stdout)).toEqual({ data: 'aGk=', interface: 1 })
  })

  it('is one broker for all connections of a socket, whatever some of them send', async () => {
    const path = join(directory, 'socket')
    await using endpoint = await scriptedEndpoint([ok('hi')])
    const env = { SYSTEMD_PROC_CMDLINE: '', SYSTEMD_IMDS_DATA_URL: endpoint.url }
    const command = ['systemd-socket-activate', `--listen=${path}`, '--fdname=varlink']
    for (const name of Object.keys(env)) command.push('-E', name)
    const ended = new AbortController()
    const argv = [...command, process.execPath, MAIN, 'systemd-imdsd']
    const running = runUnchecked(toolchain.command(argv, { env }), { signal: ended.signal }).catch(() => undefined)
    try {
      const clients: VarlinkConnection[] = []
      while (clients.length < 20) {
        const client = await connectVarlink(path).catch(() => sleep(20))
        if (client !== undefined) clients.push(client)
      }
      for (const garbage of ['not JSON\0', '{"method":1}\0', '{"method":"io.systemd.InstanceMetadata.Get"', '\0\0\0']) {
        const socket = connect(path)
        socket.on('error', () => undefined)
        socket.end(garbage)
      }
      const call = { key: '/k', interface: 1, firewallMark: null, cache: false }
      const replies = await Promise.all(clients.map((one) => one.call('io.systemd.InstanceMetadata.Get', call)))
      expect(replies).toEqual(clients.map(() => ({ data: 'aGk=', interface: 1 })))
      expect(endpoint.requests).toHaveLength(20)
      for (const one of clients) await one[Symbol.asyncDispose]()
    } finally {
      ended.abort()
      await running
    }
  })
})

describe('untilIdle()', () => {
  it('tells each time that the last client has gone, and ends when nobody comes', async () => {
    const looks = [true, false, false, true, true, false, false, false, true]
    const rests: number[] = []
    let look = 0
    const isBusy = (): boolean => looks[look++] === true
    await untilIdle(isBusy, { idleMs: 30, lookMs: 10, atRest: () => rests.push(look) })
    expect([rests, look]).toEqual([[2, 6], 8])
  })

  it('ends when it is told to', async () => {
    let looks = 0
    const ending = new AbortController()
    const isBusy = (): boolean => {
      if (++looks === 3) ending.abort()
      return true
    }
    await untilIdle(isBusy, { lookMs: 1, signal: ending.signal })
    expect(looks).toBe(3)
  })
})

describe('memoryAtRest()', () => {
  it('gives back what nobody needs', async () => {
    const script = `
      import { memoryAtRest } from ${JSON.stringify(new URL('./at-rest.ts', import.meta.url).href)}
      const collect = memoryAtRest()
      let much = Array.from({ length: 300_000 }, (_, n) => ({ n }))
      const before = process.memoryUsage().heapUsed
      much = undefined
      collect()
      console.log(before - process.memoryUsage().heapUsed > 10e6)`
    const { stdout } = await run({ argv: [process.execPath, '--input-type=module', '--eval', script] })
    expect(stdout).toBe('true\n')
  })
})
