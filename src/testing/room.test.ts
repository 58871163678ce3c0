import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Cache } from '../toolchain/index.ts'
import { type RoomWish, reserveRoom } from './room.ts'

let cache: Cache
const tickets = () => readdir(cache.path('room'))

beforeEach(async () => {
  cache = new Cache(await mkdtemp(join(tmpdir(), 'bootwright-room-')))
})
afterEach(() => rm(cache.directory, { recursive: true, force: true }))

function wish(owner: string, changes: Partial<RoomWish> = {}): RoomWish {
  // Overhead is counted too: two machines of 800 MiB fill 2000 MiB.
  const measure = async () => ({ memoryMiB: 2_000, cores: 8 })
  return { cache, owner, worker: owner, isShared: false, memoryMiB: 800, cores: 1, measure, ...changes }
}

describe('reserveRoom()', () => {
  it('gives room in the order of the wishes, as it becomes free', async () => {
    const order: string[] = []
    const first = await reserveRoom(wish('first'))
    const second = await reserveRoom(wish('second'))
    const reasons: string[] = []
    const third = reserveRoom(wish('third', { onWait: (reason) => reasons.push(reason) })).then((room) => {
      order.push('third')
      return room
    })
    await expect.poll(() => reasons).toEqual(['it needs 1000 MiB, 0 MiB are free'])
    const fourth = reserveRoom(wish('fourth', { memoryMiB: 1 })).then((room) => {
      order.push('fourth')
      return room
    })
    await expect.poll(tickets).toHaveLength(4)
    await first[Symbol.asyncDispose]()
    await (await third)[Symbol.asyncDispose]()
    await (await fourth)[Symbol.asyncDispose]()
    await second[Symbol.asyncDispose]()
    expect(order).toEqual(['third', 'fourth'])
    expect(await tickets()).toEqual([])
  })

  it('leaves the queue when it is told to stop waiting', async () => {
    await using _first = await reserveRoom(wish('first', { memoryMiB: 1_800 }))
    const abort = new AbortController()
    const waiting = reserveRoom(
      wish('second', { signal: abort.signal, onWait: () => abort.abort(new Error('enough')) }),
    )
    await expect(waiting).rejects.toThrow('enough')
    expect(await tickets()).toHaveLength(1)
  })

  it('says at once when a machine can never fit, and leaves no ticket', async () => {
    await expect(reserveRoom(wish('large', { memoryMiB: 4_000 }))).rejects.toMatchObject({
      code: 'HOST_UNSUITABLE',
      message:
        'There is no room for a machine of large: a machine of 4200 MiB does not fit into the 2000 MiB that there are',
    })
    expect(await tickets()).toEqual([])
  })

  it('takes back the room of a process that was killed', async () => {
    const script = `
      const { reserveRoom } = await import(${JSON.stringify(new URL('room.ts', import.meta.url).href)})
      const { Cache } = await import(${JSON.stringify(new URL('../toolchain/index.ts', import.meta.url).href)})
      const measure = async () => ({ memoryMiB: 2000, cores: 8 })
      await reserveRoom({ cache: new Cache(${JSON.stringify(cache.directory)}), owner: 'other', memoryMiB: 1800, cores: 1, measure })
      process.stdout.write('has it')
      setInterval(() => {}, 1000)`
    const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await once(child.stdout, 'data')
    const waited = Promise.withResolvers<string>()
    const mine = reserveRoom(wish('mine', { onWait: waited.resolve }))
    expect(await waited.promise).toBe('it needs 1000 MiB, 0 MiB are free')
    child.kill('SIGKILL')
    await (await mine)[Symbol.asyncDispose]()
    expect(await tickets()).toEqual([])
  })
})
