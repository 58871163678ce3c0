import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { type Duplex, duplexPair } from 'node:stream'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readyToolchain } from '../toolchain/index.ts'
import { Qmp, type QmpEvent } from './qmp.ts'

const toolchain = await readyToolchain().catch(() => undefined)

describe.skipIf(toolchain === undefined)('Qmp with QEMU (needs the tools: ./bootwright setup)', () => {
  let qemu: ChildProcess
  let qmp: Qmp
  let log: string[]

  beforeEach(async () => {
    log = []
    // biome-ignore format: an option and its value on one line
    const [file = '', ...args] = toolchain?.command([
      'qemu-system-x86_64', '-nodefaults', '-S',
      '-machine', 'none',
      '-display', 'none',
      '-chardev', 'socket,id=qmp,fd=3',
      '-mon', 'chardev=qmp,mode=control',
    ]).argv ?? []
    qemu = spawn(file, args, { stdio: ['ignore', 'ignore', 'ignore', 'pipe'] })
    qmp = await Qmp.connect(qemu.stdio[3] as Socket, (line) => log.push(line))
  })

  afterEach(async () => {
    if (qemu.exitCode !== null || qemu.signalCode !== null) return
    qemu.kill('SIGKILL')
    await once(qemu, 'exit')
  })

  it('asks, and logs both directions', async () => {
    expect(await qmp.execute('query-status')).toMatchObject({ running: false })
    expect((await qmp.execute('query-version')).qemu.major).toBeGreaterThanOrEqual(7)
    expect(log[0]).toMatch(/^< \{"QMP"/)
    expect(log.some((line) => line.startsWith('> {"execute":"query-status"'))).toBe(true)
  })

  it('gives each of several commands its own answer', async () => {
    const [version, status, disks] = await Promise.all([
      qmp.execute('query-version'),
      qmp.execute('query-status'),
      qmp.execute('query-blockstats'),
    ])
    expect(version).toHaveProperty('qemu')
    expect(status).toHaveProperty('running')
    expect(disks).toEqual([])
  })

  it('rejects what QEMU refuses, with its words, and goes on', async () => {
    const unknown = 'no-such-command' as 'stop'
    await expect(qmp.execute(unknown)).rejects.toMatchObject({
      code: 'TOOL_FAILED',
      message: expect.stringMatching(/"no-such-command".*not been found/),
      detail: { class: 'CommandNotFound' },
    })
    await expect(qmp.execute('query-status')).resolves.toHaveProperty('status')
  })

  it('tells events until told to stop', async () => {
    const events: QmpEvent[] = []
    const shutdown = new Promise<void>((resolve) => {
      qmp.onEvent((event) => {
        events.push(event)
        if (event.event === 'SHUTDOWN') resolve()
      })
    })
    const none: QmpEvent[] = []
    qmp.onEvent((event) => none.push(event))()
    await qmp.execute('quit')
    await shutdown
    expect(events.at(-1)).toMatchObject({ event: 'SHUTDOWN', data: { guest: false, reason: 'host-qmp-quit' } })
    expect(none).toEqual([])
  })

  it('rejects what waits when QEMU is killed, and all that comes later', async () => {
    // A process that is stopped takes the command and does not answer.
    qemu.kill('SIGSTOP')
    const asked = [qmp.execute('query-status'), qmp.execute('query-version')]
    qemu.kill('SIGKILL')
    for (const answer of asked) await expect(answer).rejects.toMatchObject({ code: 'HELPER_EXITED' })
    expect(qmp.isClosed).toBe(true)
    await expect(qmp.execute('query-status')).rejects.toMatchObject({
      code: 'HELPER_EXITED',
      message: 'QEMU ended before it answered "query-status"',
    })
  })
})

describe('Qmp', () => {
  const GREETING = '{"QMP":{"version":{},"capabilities":[]}}\n'

  /** The other end of a connection, which answers every command with the lines given. */
  function monitor(answer: (id: number) => string): { ours: Duplex; theirs: Duplex } {
    const [ours, theirs] = duplexPair()
    theirs.on('data', (chunk: Buffer) => {
      for (const line of chunk.toString().trim().split('\n')) theirs.write(answer(JSON.parse(line).id))
    })
    return { ours, theirs }
  }

  it('passes over lines that are not of the protocol, before the greeting and after', async () => {
    const garbage = 'not JSON\n\n{"half":\nnull\n42\n[]\n{"id":999,"return":1}\n{"return":{}}\n'
    const { ours, theirs } = monitor((id) => `${garbage}{"return":{"status":"x"},"id":${id}}\n`)
    theirs.write(garbage + GREETING)
    const qmp = await Qmp.connect(ours)
    expect(await qmp.execute('query-status')).toEqual({ status: 'x' })
  })

  it('puts together a line that comes in pieces', async () => {
    const { ours, theirs } = monitor((id) => `{"return":{},"id":${id}}\n`)
    const connecting = Qmp.connect(ours)
    for (const character of GREETING) theirs.write(character)
    await expect(connecting).resolves.toBeInstanceOf(Qmp)
  })

  it.for([
    ['before its greeting', ''],
    ['after some words', 'qemu: no\n'],
    ['after half a greeting', '{"QMP"'],
  ])('rejects when the other end closes %s', async ([, words]) => {
    const [ours, theirs] = duplexPair()
    theirs.end(words)
    await expect(Qmp.connect(ours)).rejects.toMatchObject({ code: 'HELPER_EXITED' })
  })

  it('rejects when the connection breaks, or was gone already', async () => {
    const [ours] = duplexPair()
    const connecting = Qmp.connect(ours)
    ours.destroy(new Error('ECONNRESET'))
    await expect(connecting).rejects.toMatchObject({ code: 'HELPER_EXITED' })
    await expect(Qmp.connect(ours)).rejects.toMatchObject({ code: 'HELPER_EXITED' })
  })
})
