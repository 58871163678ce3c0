import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { parseServeFault } from '../../release/index.ts'
import { runUnchecked } from '../../system/index.ts'
import type { VarlinkParameters } from '../../varlink/index.ts'
import { toolOutput } from '../tool-output.ts'
import {
  expectUntouched,
  expectVersion,
  files,
  labels,
  root,
  server,
  sysupdate,
  toolchain,
  write,
} from './update-root.test-support.ts'
import { sysupdateService } from './varlink-service.ts'

const NAME = 'io.bootwright.SysUpdate'
const HOST = { class: 'host' }

let said: string
let service: ReturnType<typeof sysupdateService>
beforeEach(() => {
  if (toolchain === undefined) return
  said = ''
  const error = (text: string): void => {
    said += text
  }
  const output = toolOutput({ environment: {}, isOutTerminal: false, isErrorTerminal: false, out: error, error })
  const context = { version: '', environment: {}, runtimeDirectory: join(root, 'run'), retry: { retries: 0 } }
  service = sysupdateService(context, { root, compat: false }, output)
})

interface Caller {
  readonly uid?: number
  readonly more?: boolean
  readonly signal?: AbortSignal
  readonly replies?: VarlinkParameters[]
}

function call(method: string, parameters: object, { uid = 0, more = false, signal, replies }: Caller = {}) {
  return service.answer(
    { method: `${NAME}.${method}`, parameters: { ...parameters }, more, oneway: false, upgrade: false },
    {
      peer: { uid },
      signal: signal ?? new AbortController().signal,
      send: async (reply) => void replies?.push(reply),
      takeOver: () => undefined,
    },
  )
}

const update = (parameters: object = {}, caller: Caller = {}) =>
  call('Update', { target: HOST, ...parameters }, { ...caller, more: true })
const cancel = (caller: Caller = {}) => call('Cancel', { target: HOST }, caller)
const isAskedFor = (name: string): boolean => server.requests.some(({ path }) => path.includes(name))

interface Reply {
  readonly phase: string
  readonly version?: string
  readonly transfers: readonly { id: string; phase: string; receivedBytes: number; totalBytes?: number }[]
}

describe.skipIf(toolchain === undefined)('io.bootwright.SysUpdate (needs the tools: ./bootwright setup)', () => {
  it('installs the newest version, and tells how far each transfer is', async () => {
    using _slow = server.fail(parseServeFault('/p_2.raw slow 1000000'))
    const replies: Reply[] = []
    const last = await update({}, { replies: replies as unknown as VarlinkParameters[] })
    expectVersion('2')
    const phases = replies.map(({ phase }) => phase)
    expect([...new Set(phases)]).toEqual(['discovering', 'making_room', 'acquiring', 'installing', 'installed'])
    const disk = replies.flatMap(({ transfers }) => transfers.find(({ id }) => id === '10-disk') ?? [])
    expect([...new Set(disk.map(({ phase }) => phase))]).toEqual(['waiting', 'acquiring', 'acquired', 'installed'])
    const bytes = disk.map(({ receivedBytes }) => receivedBytes)
    expect(bytes).toEqual(bytes.toSorted((a, b) => a - b))
    const total = 1024 * 1024 - 1000
    expect(bytes.filter((count) => count > 0 && count < total).length).toBeGreaterThan(1)
    expect(disk.some((one) => 'bytesPerSecond' in one && one.totalBytes === total)).toBe(true)
    const done = { phase: 'installed', receivedBytes: expect.any(Number) }
    expect(last).toEqual({
      phase: 'installed',
      version: '2',
      transfers: [
        { id: '10-disk', ...done, receivedBytes: total, totalBytes: total },
        { id: '20-url', ...done, totalBytes: expect.any(Number) },
        { id: '90-file', ...done, totalBytes: 2 },
      ],
      resources: [
        { transfer: '10-disk', path: `${root}/disk.img#2` },
        { transfer: '20-url', path: `${root}/dst/u_2.raw` },
        { transfer: '90-file', path: `${root}/dst/a_2` },
      ],
    })
    await expect(update()).rejects.toMatchObject({ error: `${NAME}.NoUpdateNeeded` })
  })

  it('installs what was acquired before, without a source', async () => {
    await sysupdate('acquire')
    await expect(update({ version: '7' })).rejects.toMatchObject({
      error: `${NAME}.UpdateFailed`,
      parameters: { code: 'UPDATE_REFUSED', message: "Update '7' not found." },
    })
    const asked = server.requests.length
    const { transfers } = (await update({ offline: true, version: '2' })) as unknown as Reply
    expect(transfers.map(({ id, receivedBytes }) => [id, receivedBytes])).toEqual([
      ['10-disk', 0],
      ['20-url', 0],
      ['90-file', 0],
    ])
    expect(server.requests.length).toBe(asked)
    expectVersion('2')
  })

  it.for(['/p_2.raw slow 100000', '/u_2.raw stall 5', '/SHA256SUMS stall 5'])(
    'is cancelled by somebody else, while another update has to wait: %s',
    async (fault) => {
      const rule = server.fail(parseServeFault(fault))
      const running = update()
      const cancelled = expect(running).rejects.toMatchObject({ error: `${NAME}.Cancelled` })
      await expect.poll(() => isAskedFor(fault.split(' ')[0] ?? '')).toBe(true)
      await expect(update()).rejects.toMatchObject({
        error: `${NAME}.Busy`,
        parameters: { message: expect.stringMatching(/disk\.img is being updated by process \d+/) },
      })
      expect(await cancel()).toEqual({})
      // Nothing is half there, and the target is free, as soon as that is answered.
      expectUntouched()
      expect(files().filter((name) => name.includes('partial'))).toEqual([])
      rule[Symbol.dispose]()
      await update()
      expectVersion('2')
      await cancelled
      expect(readdirSync(join(root, 'run'))).toEqual([])
    },
  )

  it.for(['its signal', 'a reply that is not taken'])('is cancelled when the caller hangs up: %s', async (how) => {
    const rule = server.fail(parseServeFault('/p_2.raw slow 100000'))
    const hangUp = new AbortController()
    const running = service.answer(
      { method: `${NAME}.Update`, parameters: { target: HOST }, more: true, oneway: false, upgrade: false },
      {
        peer: { uid: 0 },
        signal: hangUp.signal,
        send: async () => {
          if (how !== 'its signal' && isAskedFor('p_2')) throw new Error('The caller has gone')
        },
        takeOver: () => undefined,
      },
    )
    const failed = expect(running).rejects.toThrow()
    await expect.poll(() => isAskedFor('p_2')).toBe(true)
    if (how === 'its signal') hangUp.abort()
    await failed
    expectUntouched()
    rule[Symbol.dispose]()
    await update()
    expectVersion('2')
  })

  it('says what went wrong by a code, and leaves nothing', async () => {
    using _wrong = server.fail(parseServeFault('/u_2.raw corrupt 3'))
    await expect(update()).rejects.toMatchObject({
      error: `${NAME}.UpdateFailed`,
      parameters: {
        code: 'UPDATE_UNTRUSTED',
        message: expect.stringContaining('the manifest says'),
        hint: expect.any(String),
      },
    })
    expect(said).toContain('the manifest says')
    expectUntouched()
  })

  it('refuses who is not root, who takes one reply, what is not there, and what is off', async () => {
    const denied = { error: 'org.varlink.service.PermissionDenied' }
    await expect(update({}, { uid: 1000 })).rejects.toMatchObject(denied)
    await expect(cancel({ uid: 1000 })).rejects.toMatchObject(denied)
    await expect(call('Update', { target: HOST })).rejects.toMatchObject({ error: 'org.varlink.service.ExpectedMore' })
    await expect(cancel()).rejects.toMatchObject({ error: `${NAME}.NotRunning` })
    const target = (name: string) => ({ target: { class: 'component', name } })
    await expect(update(target('absent'))).rejects.toMatchObject({ error: `${NAME}.NoSuchTarget` })
    await expect(call('Cancel', target('absent'))).rejects.toMatchObject({ error: `${NAME}.NoSuchTarget` })
    mkdirSync(join(root, 'usr/lib/sysupdate.empty.d'))
    await expect(update(target('empty'))).rejects.toMatchObject({ error: `${NAME}.NoSuchTarget` })
    write(
      'usr/lib/sysupdate.off.d/1.transfer',
      '[Source]\nType=regular-file\nPath=/src\nMatchPattern=a_@v\n[Target]\nType=regular-file\nPath=/off\nMatchPattern=a_@v\n',
    )
    write('usr/lib/sysupdate.off.component', '[Component]\nEnabled=no\n')
    await expect(update(target('off'))).rejects.toMatchObject({ error: `${NAME}.ComponentDisabled` })
    expect(labels()).not.toContain('p_2')
  })
})

describe.skipIf(toolchain === undefined)('varlinkctl (needs the tools: ./bootwright setup)', () => {
  const MAIN = join(import.meta.dirname, '../main.ts')

  /** Commands in one shell that has a /run of its own, in which `service` is the program: each call starts another one. */
  async function shell(...lines: readonly string[]) {
    const program = join(root, 'service')
    const argv = [process.execPath, MAIN, 'systemd-sysupdate', `--root=${root}`]
    writeFileSync(program, `#!/bin/sh\nexec ${argv.map((word) => `'${word}'`).join(' ')}\n`, { mode: 0o755 })
    const script = ['mount -t tmpfs tmpfs /run', `service=exec:${program} interface=${NAME}`, ...lines].join('\n')
    const command = toolchain.command(['unshare', '--mount', 'sh', '-c', script])
    const { stdout, stderr } = await runUnchecked(command, { timeoutMs: 60_000 })
    return { stdout, stderr }
  }

  it('shows the interface, and follows an update of it', async () => {
    const { stdout } = await shell(
      'varlinkctl list-methods $service $interface',
      `varlinkctl call --json=short --more $service $interface.Update '{"target":{"class":"host"}}' | tail -n 1`,
    )
    expect(stdout.split('\n').slice(0, 2).toSorted()).toEqual([`${NAME}.Cancel`, `${NAME}.Update`])
    expect(stdout).toContain('"phase":"installed"')
    expect(stdout).toContain(`"path":"${root}/dst/a_2"`)
    expectVersion('2')
  })

  it('cancels from another connection, and is told that it is busy, or that nothing runs', async () => {
    using _slow = server.fail(parseServeFault('/p_2.raw slow 50000'))
    const target = `'{"target":{"class":"host"}}'`
    const { stdout } = await shell(
      `varlinkctl call $service $interface.Cancel ${target} 2>&1; echo "idle: $?"`,
      `varlinkctl call --more $service $interface.Update ${target} >${root}/replies 2>&1 & update=$!`,
      `until grep -q '"acquiring"' ${root}/replies; do sleep 0.1; done`,
      `varlinkctl call --more $service $interface.Update ${target} 2>&1; echo "second: $?"`,
      `varlinkctl call $service $interface.Cancel ${target} 2>&1; echo "cancel: $?"`,
      `wait $update; echo "first: $?"; tail -n 3 ${root}/replies`,
    )
    expect(stdout).toMatch(/NotRunning[\s\S]*idle: 1/)
    expect(stdout).toMatch(/SysUpdate\.Busy[\s\S]*second: 1/)
    expect(stdout).toMatch(/\{\}\s+cancel: 0\s+first: 1\s[\s\S]*SysUpdate\.Cancelled/)
    expectUntouched()
  })

  it('cancels by hanging up', async () => {
    using _slow = server.fail(parseServeFault('/p_2.raw slow 50000'))
    const { stdout } = await shell(
      `varlinkctl call --more $service $interface.Update '{"target":{"class":"host"}}' >${root}/replies 2>&1 & update=$!`,
      `until grep -q '"acquiring"' ${root}/replies; do sleep 0.1; done`,
      'kill -KILL $update',
      `until varlinkctl call --json=short --more $service $interface.Update '{"target":{"class":"host"},"version":"1"}' 2>&1 | grep NoUpdateNeeded; do sleep 0.2; done`,
    )
    expect(stdout).toContain('NoUpdateNeeded')
    expectUntouched()
  })
})
