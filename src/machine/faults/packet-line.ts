import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Qmp } from '../qmp.ts'
import type { Direction, LineStage } from './impairment.ts'
import { encodePacket, type Packet, PacketDecoder } from './packet-stream.ts'

/** How many packets went which way. */
export interface LineCounts {
  readonly received: number
  readonly delivered: number
  /** By a fault, or because more than 64 MiB were waiting. */
  readonly dropped: number
}

const MAX_WAITING_BYTES = 64 * 1024 * 1024
const DIRECTIONS = ['from-machine', 'to-machine'] as const
/** QEMU's name for the way, seen from the network backend that the filter sits on. */
const QUEUES = { 'from-machine': 'rx', 'to-machine': 'tx' } as const

/**
 * The line between a machine's card and its network, led through this process, where things happen to packets.
 *
 * It stays open until the machine ends; without a stage it hands everything on at once. Packets that wait when QEMU ends
 * are lost with it.
 */
export class PacketLine implements Disposable {
  readonly #stages: LineStage[] = []
  readonly #sockets: Record<Direction, { in: Socket }>
  readonly #counts: Record<Direction, { received: number; delivered: number; dropped: number }> = {
    'from-machine': { received: 0, delivered: 0, dropped: 0 },
    'to-machine': { received: 0, delivered: 0, dropped: 0 },
  }
  readonly #timers = new Set<NodeJS.Timeout>()
  readonly #all: readonly Socket[]
  #waitingBytes = 0

  private constructor(ends: Record<Direction, { out: Socket; in: Socket }>) {
    this.#sockets = ends
    this.#all = DIRECTIONS.flatMap((direction) => [ends[direction].out, ends[direction].in])
    for (const socket of this.#all) {
      // QEMU is gone; nobody waits for packets any more.
      socket.on('error', () => this[Symbol.dispose]())
      socket.unref()
    }
    for (const direction of DIRECTIONS) {
      const decoder = new PacketDecoder()
      ends[direction].out.on('data', (bytes: Buffer) => {
        try {
          for (const packet of decoder.push(bytes)) {
            this.#counts[direction].received += 1
            this.#pass(packet, direction, 0, 0)
          }
        } catch {
          // Not a stream of packets any more: the line is dead, and the guest sees just that.
          this[Symbol.dispose]()
        }
      })
    }
  }

  /**
   * Puts this process between a network backend of QEMU and the card behind it.
   *
   * @param netdev name of the backend, as in `-netdev …,id=`
   */
  static async open(qmp: Qmp, netdev: string): Promise<PacketLine> {
    // The path of a UNIX socket is short; a state directory's may not be.
    const directory = await mkdtemp(join(tmpdir(), 'bw-line-'))
    const path = join(directory, 'line')
    const server = createServer()
    const opened: Socket[] = []
    try {
      server.listen(path)
      await once(server, 'listening')
      const link = async (id: string): Promise<Socket> => {
        const socket = await connectCharacterDevice(qmp, server, path, id)
        opened.push(socket)
        return socket
      }
      const ends = {
        'from-machine': { out: await link('line-from-out'), in: await link('line-from-in') },
        'to-machine': { out: await link('line-to-out'), in: await link('line-to-in') },
      }
      const line = new PacketLine(ends)
      for (const direction of DIRECTIONS) {
        const name = direction === 'from-machine' ? 'line-from' : 'line-to'
        await qmp.execute('object-add', {
          'qom-type': 'filter-redirector',
          id: name,
          netdev,
          queue: QUEUES[direction],
          outdev: `${name}-out`,
          indev: `${name}-in`,
          vnet_hdr_support: true,
        })
      }
      void qmp.closed.then(() => line[Symbol.dispose]())
      return line
    } catch (error) {
      for (const socket of opened) socket.destroy()
      throw error
    } finally {
      server.close()
      await rm(directory, { recursive: true, force: true })
    }
  }

  /** Adds a stage behind the others; disposing of the result takes it away. */
  add(stage: LineStage): Disposable {
    this.#stages.push(stage)
    return {
      [Symbol.dispose]: () => {
        const at = this.#stages.indexOf(stage)
        if (at >= 0) this.#stages.splice(at, 1)
      },
    }
  }

  counts(direction: Direction): LineCounts {
    return { ...this.#counts[direction] }
  }

  [Symbol.dispose](): void {
    for (const timer of this.#timers) clearTimeout(timer)
    this.#timers.clear()
    for (const socket of this.#all) socket.destroy()
  }

  #pass(packet: Packet, direction: Direction, at: number, afterMs: number): void {
    const stage = this.#stages[at]
    if (stage === undefined) {
      this.#deliver(packet, direction, afterMs)
      return
    }
    const deliveries = stage(packet, direction, (answer) => this.#pass(answer, opposite(direction), 0, 0))
    if (deliveries.length === 0) this.#counts[direction].dropped += 1
    for (const delivery of deliveries) this.#pass(delivery.packet, direction, at + 1, afterMs + delivery.afterMs)
  }

  #deliver(packet: Packet, direction: Direction, afterMs: number): void {
    const socket = this.#sockets[direction].in
    const bytes = packet.header.byteLength + packet.frame.byteLength
    if (this.#waitingBytes + socket.writableLength + bytes > MAX_WAITING_BYTES) {
      this.#counts[direction].dropped += 1
      return
    }
    const send = (): void => {
      this.#counts[direction].delivered += 1
      socket.write(encodePacket(packet))
    }
    if (afterMs <= 0) {
      send()
      return
    }
    this.#waitingBytes += bytes
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      this.#waitingBytes -= bytes
      send()
    }, afterMs)
    this.#timers.add(timer.unref())
  }
}

/** A character device of QEMU that ends in this process. */
async function connectCharacterDevice(qmp: Qmp, server: Server, path: string, id: string): Promise<Socket> {
  const connected = once(server, 'connection') as Promise<[Socket]>
  connected.catch(() => undefined)
  const addr = { type: 'unix', data: { path } }
  await qmp.execute('chardev-add', { id, backend: { type: 'socket', data: { addr, server: false } } })
  const [socket] = await connected
  return socket
}

function opposite(direction: Direction): Direction {
  return direction === 'from-machine' ? 'to-machine' : 'from-machine'
}
