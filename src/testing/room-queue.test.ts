import { describe, expect, it } from 'vitest'
import { type Capacity, decide, type Ticket } from './room-queue.ts'

const capacity: Capacity = { memoryMiB: 4_000, cores: 4, jobs: undefined }
let last = 0
const ticket = (changes: Partial<Ticket> = {}): Ticket => {
  const number = ++last
  return {
    number,
    owner: `test ${number}`,
    worker: `worker ${number}`,
    isShared: false,
    memoryMiB: 1_000,
    cores: 2,
    isGranted: false,
    ...changes,
  }
}
const held = (changes: Partial<Ticket> = {}) => ticket({ isGranted: true, ...changes })
const kind = (tickets: readonly Ticket[], mine: Ticket, room = capacity) => decide([...tickets, mine], mine, room).kind

describe('decide()', () => {
  it('grants what fits', () => {
    expect(kind([], ticket())).toBe('grant')
    expect(kind([held()], ticket())).toBe('grant')
  })

  it('never gives memory twice', () => {
    const tickets = [held({ memoryMiB: 3_500, cores: 1 })]
    expect(decide(tickets, ticket({ memoryMiB: 501, cores: 1 }), capacity)).toEqual({
      kind: 'wait',
      reason: 'it needs 501 MiB, 500 MiB are free',
    })
    expect(kind(tickets, ticket({ memoryMiB: 500, cores: 1 }))).toBe('grant')
  })

  it('never gives cores twice, but lets one machine have more than there are', () => {
    expect(kind([held(), held()], ticket({ cores: 1 }))).toBe('wait')
    expect(kind([], ticket({ cores: 16 }))).toBe('grant')
    expect(kind([held({ cores: 1 })], ticket({ cores: 16 }))).toBe('wait')
  })

  it('keeps the order: a small wish does not overtake a large one', () => {
    const running = held({ memoryMiB: 2_000 })
    const large = ticket({ memoryMiB: 3_000 })
    const small = ticket({ memoryMiB: 100, cores: 1 })
    expect(kind([running, small], large)).toBe('wait')
    expect(decide([running, large, small], small, capacity)).toEqual({ kind: 'wait', reason: '1 asked before' })
    expect(kind([large], small)).toBe('wait')
    expect(kind([small], large)).toBe('grant')
  })

  it('refuses what can never fit', () => {
    expect(kind([], ticket({ memoryMiB: 4_001 }))).toBe('refuse')
  })

  it('counts tests, not cores, when it is told how many', () => {
    const room = { ...capacity, jobs: 2 }
    expect(kind([held({ cores: 4 })], ticket(), room)).toBe('grant')
    expect(kind([held({ cores: 1 }), held({ cores: 1 })], ticket({ cores: 1 }), room)).toBe('wait')
  })

  it('lets a test that has a machine have its second one first', () => {
    const first = held({ owner: 'pair', cores: 4 })
    const waiting = ticket()
    expect(kind([first, waiting], ticket({ owner: 'pair', cores: 4 }))).toBe('grant')
    // Both together still take the cores of one.
    expect(kind([first, held({ owner: 'pair', cores: 4 })], ticket({ cores: 1 }), { ...capacity, cores: 5 })).toBe(
      'grant',
    )
  })

  it('lets a test whose worker has a machine for all tests have its own first', () => {
    const shared = held({ owner: 'file', worker: 'w', isShared: true, cores: 4 })
    const waiting = ticket()
    expect(kind([shared, waiting], ticket({ worker: 'w' }))).toBe('grant')
    // The same when the test had its own before.
    expect(kind([held({ worker: 'w', cores: 4 }), waiting], ticket({ worker: 'w', isShared: true }))).toBe('grant')
    // Concurrent tests share nothing but the worker.
    expect(kind([held({ worker: 'w', cores: 4 })], ticket({ worker: 'w' }))).toBe('wait')
    expect(kind([{ ...shared, memoryMiB: 3_500 }], ticket({ worker: 'w' }))).toBe('refuse')
  })

  it('lets the second one wait while somebody else may end, and refuses it when all wait for each other', () => {
    const a = held({ owner: 'a', memoryMiB: 2_000 })
    const b = held({ owner: 'b', memoryMiB: 2_000 })
    const more = ticket({ owner: 'a' })
    expect(kind([a, b], more)).toBe('wait')
    expect(kind([a, b, ticket({ owner: 'b' })], more)).toBe('refuse')
    expect(kind([held({ owner: 'a', memoryMiB: 3_500 })], ticket({ owner: 'a' }))).toBe('refuse')
  })
})
