/** What a host can give to machines at the same time. */
export interface Capacity {
  readonly memoryMiB: number
  readonly cores: number
  /** How many tests may have machines at once; undefined: as many as memory and cores allow. */
  readonly jobs: number | undefined
}

/** A wish for room, in the order in which they were made. */
export interface Ticket {
  /** Grows with each wish. */
  readonly number: number
  /** Who asks: machines of one test have the same. */
  readonly owner: string
  /** Where the owner runs: its tests come one after the other, unless they are concurrent. */
  readonly worker: string
  /** Whether the machine is there for all tests of the worker. */
  readonly isShared: boolean
  readonly memoryMiB: number
  readonly cores: number
  readonly isGranted: boolean
}

export type Decision =
  | { readonly kind: 'grant' }
  | { readonly kind: 'wait'; readonly reason: string }
  /** It can never be granted. */
  | { readonly kind: 'refuse'; readonly reason: string }

/**
 * Whether a ticket is next. First come, first served: nothing overtakes a wish that still waits, so a large machine is
 * never starved by small ones.
 *
 * A test that has room already and wants more for a second machine goes first, and shares its cores, because others wait
 * for it to end; so does one whose worker has a machine for all of its tests, which does not end before they do. Memory is
 * never given twice. Two such tests that wait for each other are told, not left waiting.
 */
export function decide(tickets: readonly Ticket[], mine: Ticket, capacity: Capacity): Decision {
  if (mine.memoryMiB > capacity.memoryMiB) {
    const reason = `a machine of ${mine.memoryMiB} MiB does not fit into the ${capacity.memoryMiB} MiB that there are`
    return { kind: 'refuse', reason }
  }
  const granted = tickets.filter(({ isGranted, number }) => isGranted && number !== mine.number)
  const freeMiB = capacity.memoryMiB - sum(granted, 'memoryMiB')
  const needs = `it needs ${mine.memoryMiB} MiB, ${freeMiB} MiB are free`
  const own = granted.filter((ticket) => belongs(ticket, mine))
  if (own.length > 0) {
    if (mine.memoryMiB <= freeMiB) return { kind: 'grant' }
    const others = granted.filter((ticket) => !belongs(ticket, mine))
    const waiting = tickets.filter(({ isGranted, number }) => !isGranted && number !== mine.number)
    const isHopeless = others.every((other) => waiting.some((ticket) => belongs(other, ticket)))
    return isHopeless
      ? { kind: 'refuse', reason: `all tests that have machines wait for room for more: ${needs}` }
      : { kind: 'wait', reason: needs }
  }
  const before = tickets.filter(({ isGranted, number }) => !isGranted && number < mine.number)
  if (before.length > 0) return { kind: 'wait', reason: `${before.length} asked before` }
  if (mine.memoryMiB > freeMiB) return { kind: 'wait', reason: needs }
  const owners = new Set(granted.map(({ owner }) => owner)).size
  if (owners === 0) return { kind: 'grant' }
  if (capacity.jobs !== undefined) {
    return owners < capacity.jobs
      ? { kind: 'grant' }
      : { kind: 'wait', reason: `${owners} tests have machines already` }
  }
  const freeCores = capacity.cores - coresOf(granted)
  return mine.cores <= freeCores
    ? { kind: 'grant' }
    : { kind: 'wait', reason: `it needs ${mine.cores} cores, ${Math.max(0, freeCores)} are free` }
}

/** Whether what was granted does not end before the other wish is granted. */
function belongs(granted: Ticket, { owner, worker, isShared }: Ticket): boolean {
  return granted.owner === owner || (granted.worker === worker && (granted.isShared || isShared))
}

/** Machines of one test share the cores of its largest. */
function coresOf(tickets: readonly Ticket[]): number {
  const byOwner = new Map<string, number>()
  for (const { owner, cores } of tickets) byOwner.set(owner, Math.max(byOwner.get(owner) ?? 0, cores))
  return [...byOwner.values()].reduce((total, cores) => total + cores, 0)
}

function sum(tickets: readonly Ticket[], key: 'memoryMiB' | 'cores'): number {
  return tickets.reduce((total, ticket) => total + ticket[key], 0)
}
