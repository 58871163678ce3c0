import { describe, expect, it } from 'vitest'
import { BOOTED, type RunningMachine } from '../../src/machine/index.ts'
import { parseServeFault } from '../../src/release/index.ts'
import { versionsOf } from '../support/ab-machine.ts'
import { AbScene } from '../support/ab-scene.ts'

const SOCKET = '/run/systemd/io.systemd.SysUpdate'
const HOST = { target: { class: 'host' } }
const INSTALLED = ['ab_1_verity', 'ab_1', 'ab_2_verity', 'ab_2']
const PAYLOAD = /\/ab_2_.*\.usr-x86-64\./

interface Reply {
  readonly phase: string
  readonly version?: string
  readonly transfers: readonly { id: string; phase: string; receivedBytes: number; totalBytes?: number }[]
  readonly resources?: readonly { transfer: string; path: string }[]
}

/** Calls a method as somebody on the machine would; the error of a reply goes to standard error. */
async function call(machine: RunningMachine, method: string, parameters: object, flags: readonly string[] = []) {
  const argv = [
    'varlinkctl',
    'call',
    '--timeout=infinity',
    '--json=short',
    ...flags,
    SOCKET,
    method,
    JSON.stringify(parameters),
  ]
  const { exitCode, stdout, stderr } = await machine.runUnchecked(argv)
  // Each of several replies begins with a record separator (RFC 7464).
  const replies = stdout.toString().replaceAll('\u001e', '\n').split('\n').filter(Boolean)
  return { exitCode, replies: replies.map((text) => JSON.parse(text) as Reply), error: stderr.toString() }
}

/** One boot: part of `./bootwright test --all`. */
describe.skipIf(process.env.BOOTWRIGHT_TEST_ALL !== '1')('varlinkctl, and the units of systemd', () => {
  it('make updates with ours, tell how far they are, and cancel them', { timeout: 900_000 }, async () => {
    await using scene = await AbScene.open()
    await scene.releases.publish('2')
    await using machine = await scene.fork(BOOTED)
    await scene.useOurs(machine)
    await machine.run(['systemctl', 'start', 'systemd-sysupdate.socket'])
    const before = await versionsOf(machine)
    expect(await call(machine, 'io.systemd.SysUpdate.CheckNew', HOST)).toMatchObject({ replies: [{ available: '2' }] })

    const { server } = scene.releases
    const slow = server.fail(parseServeFault('/ab_2_*.usr-x86-64.* slow 200000'))
    const cancelled = call(machine, 'io.bootwright.SysUpdate.Update', HOST, ['--more'])
    await expect.poll(() => server.requests.some(({ path }) => PAYLOAD.test(path)), { timeout: 120_000 }).toBe(true)
    const busy = await call(machine, 'io.bootwright.SysUpdate.Update', HOST, ['--more'])
    expect(busy.error).toContain('io.bootwright.SysUpdate.Busy')
    const cancel = await call(machine, 'io.bootwright.SysUpdate.Cancel', HOST)
    expect(cancel).toMatchObject({ exitCode: 0, error: '' })
    // Nothing can be booted of it as soon as that is answered.
    const { running, slots, ukis } = await versionsOf(machine)
    expect({ running, ukis }).toEqual({ running: '1', ukis: before.ukis })
    expect(slots).not.toContain('ab_2')
    expect((await cancelled).error).toContain('io.bootwright.SysUpdate.Cancelled')
    expect((await call(machine, 'io.bootwright.SysUpdate.Cancel', HOST)).error).toContain('NotRunning')

    slow[Symbol.dispose]()
    const { exitCode, replies, error } = await call(machine, 'io.bootwright.SysUpdate.Update', HOST, ['--more'])
    expect([exitCode, error]).toEqual([0, ''])
    const phases = [...new Set(replies.map(({ phase }) => phase))]
    expect(phases).toEqual(['discovering', 'making_room', 'acquiring', 'installing', 'installed'])
    const usr = replies.flatMap(({ transfers }) => transfers.find(({ id }) => id === '20-usr') ?? [])
    const received = usr.map(({ receivedBytes }) => receivedBytes)
    expect(received).toEqual(received.toSorted((a, b) => a - b))
    expect(received.at(-1)).toBe(usr.at(-1)?.totalBytes)
    expect(replies.at(-1)).toMatchObject({
      version: '2',
      resources: [
        { transfer: '10-usr-verity', path: '/dev/vda4' },
        { transfer: '20-usr', path: '/dev/vda5' },
        { transfer: '90-uki', path: expect.stringContaining('/EFI/Linux/ab_2+3-0.efi') },
      ],
    })
    expect(await versionsOf(machine)).toEqual({ running: '1', slots: INSTALLED, ukis: ['ab_1.efi', 'ab_2+3-0.efi'] })
    expect((await call(machine, 'io.bootwright.SysUpdate.Update', HOST, ['--more'])).error).toContain('NoUpdateNeeded')

    // Somebody else may look, but change nothing.
    const stranger = (...words: string[]) =>
      machine.runUnchecked(['setpriv', '--reuid=65534', '--clear-groups', 'varlinkctl', 'call', ...words])
    expect((await stranger(SOCKET, 'io.systemd.SysUpdate.ListTargets', '{}')).exitCode).toBe(0)
    const denied = await stranger('--more', SOCKET, 'io.bootwright.SysUpdate.Update', JSON.stringify(HOST))
    expect([denied.exitCode, denied.stderr.toString()]).toEqual([1, expect.stringContaining('Permission denied')])
  })
})
