import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { runUnchecked } from '../system/index.ts'
import { askingProcess } from './asking-process.ts'

/** This host as the guest. */
const host = {
  isAnswering: true,
  async runUnchecked(argv: readonly string[], options: { signal?: AbortSignal } = {}) {
    const { exitCode, stdout, stderr } = await runUnchecked({ argv }, options)
    return { exitCode, stdout: Buffer.from(stdout), stderr: Buffer.from(stderr) }
  },
} as unknown as Parameters<typeof askingProcess>[0]

it('askingProcess() tells who has a connection, while it has it', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const script = `exec 3<>/dev/tcp/127.0.0.1/${port}; read -r _ <&3`
  const client = spawn('bash', ['-c', script], { stdio: 'ignore' })
  const [socket] = await once(server, 'connection')
  const peer = { address: '127.0.0.1', port: socket.remotePort }
  expect(await askingProcess(host)(peer)).toMatchObject({ pid: client.pid, name: 'bash' })
  expect(await askingProcess({ ...host, isAnswering: false })(peer)).toBeUndefined()
  socket.end('\n')
  await once(client, 'close')
  server.close()
  expect(await askingProcess(host)(peer)).toBeUndefined()
})

it('askingProcess() knows nobody in time where the guest takes too long', async () => {
  const slow = {
    ...host,
    runUnchecked: (_: unknown, { signal } = {} as { signal?: AbortSignal }) => sleep(5_000, undefined, { signal }),
  }
  const begun = performance.now()
  expect(await askingProcess(slow as never)({ address: '127.0.0.1', port: 1 })).toBeUndefined()
  expect(performance.now() - begun).toBeLessThan(2_000)
})

it('askingProcess() names the unit of a control group', async () => {
  const saying = (stdout: string) =>
    askingProcess({
      isAnswering: true,
      runUnchecked: async () => ({ exitCode: 0, stdout: Buffer.from(stdout) }),
    } as never)
  const peer = { address: '192.0.2.1', port: 1 }
  expect(
    await saying('7 systemd-imdsd\n0::/system.slice/system-systemd\\x2dimdsd.slice/systemd-imdsd@1.service\n')(peer),
  ).toEqual({
    pid: 7,
    name: 'systemd-imdsd',
    unit: 'systemd-imdsd@1.service',
  })
  expect(await saying('7 a b\n1:cpu:/x\n0::/\n')(peer)).toEqual({ pid: 7, name: 'a b' })
  expect(await saying('')(peer)).toBeUndefined()
})
