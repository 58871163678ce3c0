import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readyToolchain, type Toolchain } from '../../toolchain/index.ts'
import { impair } from './impairment.ts'
import { PacketLine } from './packet-line.ts'
import { BareQemu } from './qemu.test-support.ts'

const toolchain = (await readyToolchain().catch(() => undefined)) as Toolchain

/** QEMU's `-netdev stream`: each frame behind its length. */
function framed(frame: Uint8Array): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(frame.byteLength)
  return Buffer.concat([length, frame])
}

const frame = (fill: number) => Buffer.alloc(64, fill)

describe.skipIf(toolchain === undefined)('a line through this process (needs the tools: ./bootwright setup)', () => {
  const scope = { stack: new AsyncDisposableStack() }
  /** The ends of QEMU's network: `near` is the backend that the line is on, `far` stands for the card behind it. */
  let near: Socket
  let far: Socket
  let line: PacketLine
  let qemu: BareQemu

  beforeEach(async () => {
    scope.stack = new AsyncDisposableStack()
    const directory = await mkdtemp(join(tmpdir(), 'bootwright-line-'))
    scope.stack.defer(() => rm(directory, { recursive: true, force: true }))
    const ends = await Promise.all(
      ['near', 'far'].map(async (name) => {
        const server = createServer().listen(join(directory, name))
        await once(server, 'listening')
        const connected = once(server, 'connection').then(([socket]) => {
          server.close()
          return socket as Socket
        })
        return { path: join(directory, name), connected }
      }),
    )
    const stream = (id: string, path: string | undefined) =>
      `stream,id=${id},server=off,addr.type=unix,addr.path=${path}`
    // biome-ignore format: an option and its value on one line
    qemu = scope.stack.use(await BareQemu.start(toolchain, [
      '-machine', 'none',
      '-netdev', stream('net', ends[0]?.path),
      '-netdev', stream('other', ends[1]?.path),
      '-netdev', 'hubport,id=port0,hubid=0,netdev=net',
      '-netdev', 'hubport,id=port1,hubid=0,netdev=other',
    ]))
    const sockets = (await Promise.all(ends.map(({ connected }) => connected))) as [Socket, Socket]
    ;[near, far] = sockets
    for (const socket of sockets) scope.stack.defer(() => void socket.destroy())
    line = scope.stack.use(await PacketLine.open(qemu.qmp, 'net'))
  })

  afterEach(() => scope.stack.disposeAsync())

  async function sends(from: Socket, to: Socket, ...fills: number[]): Promise<number[]> {
    const received: Buffer[] = []
    const bytes = () => Buffer.concat(received)
    const take = (piece: Buffer) => received.push(piece)
    to.on('data', take)
    for (const fill of fills) from.write(framed(frame(fill)))
    // What comes last is never befallen here.
    while (bytes().at(-1) !== fills.at(-1)) await once(to, 'data')
    to.off('data', take)
    return Array.from({ length: bytes().length / 68 }, (_, index) => bytes()[index * 68 + 4] ?? 0)
  }

  it('hands on every frame in order, both ways, and counts them', async () => {
    expect(await sends(near, far, 1, 2, 3)).toEqual([1, 2, 3])
    expect(await sends(far, near, 4, 5)).toEqual([4, 5])
    expect(line.counts('to-machine')).toEqual({ received: 3, delivered: 3, dropped: 0 })
    expect(line.counts('from-machine')).toEqual({ received: 2, delivered: 2, dropped: 0 })
  })

  it('is what its stages make of it, while they are there', async () => {
    {
      using _second = line.add((packet) => (packet.frame[0] === 2 ? [] : [{ packet, afterMs: 0 }]))
      expect(await sends(near, far, 1, 2, 3)).toEqual([1, 3])
    }
    expect(await sends(near, far, 1, 2, 3)).toEqual([1, 2, 3])
  })

  it('delays without changing the order, one way where asked', async () => {
    using _slow = line.add(impair({ delayMs: 50, direction: 'to-machine' }))
    const started = performance.now()
    expect(await sends(near, far, 1, 2, 3)).toEqual([1, 2, 3])
    expect(performance.now() - started).toBeGreaterThanOrEqual(49)
    expect(await sends(far, near, 4)).toEqual([4])
  })

  it('lets a stage answer in place of the other side', async () => {
    using _answering = line.add((packet, direction, reply) => {
      if (direction === 'to-machine') return [{ packet, afterMs: 0 }]
      reply({ ...packet, frame: frame(9) })
      return []
    })
    far.write(framed(frame(1)))
    const [answer] = (await once(far, 'data')) as [Buffer]
    expect(answer).toEqual(framed(frame(9)))
    expect(line.counts('from-machine')).toEqual({ received: 1, delivered: 0, dropped: 1 })
  })

  it('ends with QEMU, without a word', async () => {
    line.add(impair({ delayMs: 60_000 }))
    near.write(framed(frame(1)))
    await qemu.qmp.execute('quit')
    await qemu.qmp.closed
  })
})
