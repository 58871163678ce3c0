import { randomBytes } from 'node:crypto'
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { BootwrightError, processStart } from '../system/index.ts'
import { availableCores, availableMemoryMiB, type Cache, lockFile } from '../toolchain/index.ts'
import { type Capacity, decide, type Ticket } from './room-queue.ts'

export interface RoomWish {
  readonly cache: Cache
  /** Who asks; machines of one test have the same owner. */
  readonly owner: string
  /** The process or thread that asks. */
  readonly worker: string
  /** Whether the machine is there for all tests of the worker. */
  readonly isShared: boolean
  readonly memoryMiB: number
  readonly cores: number
  /** How many tests may have machines at once; undefined: as memory and cores allow. */
  readonly jobs?: number | undefined
  readonly signal?: AbortSignal | undefined
  /** Called when there is no room yet, with the reason. */
  readonly onWait?: (reason: string) => void
  /** What the host has, for tests. */
  readonly measure?: () => Promise<{ memoryMiB: number; cores: number }>
}

interface StoredTicket extends Ticket {
  readonly pid: number
  /** With it a process number names one process for good. */
  readonly startedAt: string
  /** What the host had when this was the only ticket; later ones count against it. */
  readonly capacity: { readonly memoryMiB: number; readonly cores: number }
}

/** QEMU and swtpm take this on top of the guest's memory. */
const OVERHEAD_MIB = 200
const EVERY_MS = 150

/**
 * Room on this host for a machine, until it is disposed of. All processes of this user that start machines with the same
 * cache directory take part: tickets are files there, decided on under a lock, and those of dead processes do not count.
 *
 * Rejects with `HOST_UNSUITABLE` when the machine can never fit.
 */
export async function reserveRoom(wish: RoomWish): Promise<AsyncDisposable> {
  const directory = wish.cache.path('room')
  await mkdir(directory, { recursive: true })
  const key = randomBytes(4).toString('hex')
  const ticketPath = (number: number) => join(directory, `${String(number).padStart(12, '0')}-${key}.json`)
  let mine: StoredTicket | undefined
  try {
    mine = await locked(wish, async () => {
      const tickets = await readTickets(directory)
      const ticket: StoredTicket = {
        number: Math.max(0, ...tickets.map(({ number }) => number)) + 1,
        owner: wish.owner,
        worker: wish.worker,
        isShared: wish.isShared,
        memoryMiB: wish.memoryMiB + OVERHEAD_MIB,
        cores: wish.cores,
        isGranted: false,
        pid: process.pid,
        startedAt: processStart(process.pid) ?? '',
        capacity: tickets[0]?.capacity ?? (await (wish.measure ?? measureHost)()),
      }
      return grantOrKeep(wish, directory, ticket, ticketPath(ticket.number))
    })
    const path = ticketPath(mine.number)
    let told = ''
    while (!mine.isGranted) {
      await sleep(EVERY_MS, undefined, { signal: wish.signal }).catch(() => wish.signal?.throwIfAborted())
      // Looking costs little; only what looks good is decided under the lock.
      const decision = decide(await readTickets(directory), mine, capacityOf(mine, wish))
      if (decision.kind === 'wait') {
        if (decision.reason !== told) wish.onWait?.(decision.reason)
        told = decision.reason
        continue
      }
      const waiting: StoredTicket = mine
      mine = await locked(wish, () => grantOrKeep(wish, directory, waiting, path))
    }
    return { [Symbol.asyncDispose]: () => rm(path, { force: true }) }
  } catch (error) {
    await removeOwn(directory, key)
    throw error
  }
}

async function grantOrKeep(
  wish: RoomWish,
  directory: string,
  ticket: StoredTicket,
  path: string,
): Promise<StoredTicket> {
  const tickets = await readTickets(directory)
  const decision = decide(tickets, ticket, capacityOf(ticket, wish))
  if (decision.kind === 'refuse') {
    throw new BootwrightError(
      'HOST_UNSUITABLE',
      `There is no room for a machine of ${wish.owner}: ${decision.reason}`,
      {
        hint: 'Give the machine less memory, run fewer tests at once (--jobs 1), or end something else.',
        detail: { memoryMiB: wish.memoryMiB, cores: wish.cores },
      },
    )
  }
  const decided = { ...ticket, isGranted: decision.kind === 'grant' }
  await writeFile(`${path}.new`, JSON.stringify(decided))
  await rename(`${path}.new`, path)
  return decided
}

function capacityOf({ capacity }: StoredTicket, { jobs }: RoomWish): Capacity {
  return { ...capacity, jobs }
}

async function measureHost(): Promise<{ memoryMiB: number; cores: number }> {
  const [memoryMiB, cores] = await Promise.all([availableMemoryMiB(), availableCores()])
  return { memoryMiB, cores }
}

async function locked<T>(wish: RoomWish, work: () => Promise<T>): Promise<T> {
  await using _lock = await lockFile(wish.cache.path('locks', 'room'), { signal: wish.signal })
  // Awaited here: the lock must not be gone before.
  return await work()
}

/** The tickets of living processes, by number; those of dead ones are removed. */
async function readTickets(directory: string): Promise<StoredTicket[]> {
  const tickets: StoredTicket[] = []
  for (const name of (await readdir(directory)).sort()) {
    if (!name.endsWith('.json')) continue
    const path = join(directory, name)
    // It may have been given back in this moment. A file that holds no ticket is nobody's.
    const text = await readFile(path, 'utf8').catch(() => undefined)
    if (text === undefined) continue
    const ticket = parseTicket(text)
    if (ticket === undefined || processStart(ticket.pid) !== ticket.startedAt) await rm(path, { force: true })
    else tickets.push(ticket)
  }
  return tickets
}

function parseTicket(text: string): StoredTicket | undefined {
  try {
    const ticket = JSON.parse(text) as StoredTicket
    return Number.isInteger(ticket.pid) && Number.isInteger(ticket.number) ? ticket : undefined
  } catch {
    return undefined
  }
}

async function removeOwn(directory: string, key: string): Promise<void> {
  for (const name of await readdir(directory).catch(() => [])) {
    if (name.includes(`-${key}.json`)) await rm(join(directory, name), { force: true })
  }
}
