import { BootwrightError } from '../../system/index.ts'
import { type BlockLayer, KEEPS_DISCARDS, nodeName } from './block-layers.ts'

/**
 * How a machine's disk fails. Sectors are of 512 bytes, counted from the start of the disk.
 *
 * - `read-error`, `write-error`, `flush-error`: the guest is told that it failed (EIO)
 * - `torn-sectors`: what a power cut left of these sectors can no longer be read, until they are no fault any more
 * - `host-full`: the host has no room for what is written (ENOSPC); QEMU then pauses the machine, and once the fault is
 *   taken away and the machine told to go on, it tries again and the guest has noticed nothing
 */
export type DiskFault =
  | (Chosen & { readonly kind: 'read-error' | 'write-error' })
  | (Omit<Chosen, 'sectors'> & { readonly kind: 'flush-error' })
  | { readonly kind: 'torn-sectors'; readonly sectors: readonly number[] }
  | (Omit<Chosen, 'sectors'> & { readonly kind: 'host-full' })

interface Chosen {
  /** Only requests that touch one of these; any when absent. */
  readonly sectors?: readonly number[]
  /** How many requests of this kind are let through first. */
  readonly after?: number
  /** How many requests it befalls from then on; all when absent. */
  readonly times?: number
}

type Request = 'read' | 'write' | 'write-zeroes' | 'discard' | 'flush'

interface InjectError {
  readonly event: string
  readonly state?: number
  readonly iotype: Request
  readonly errno: number
  readonly sector?: number
  readonly once?: boolean
}

interface SetState {
  readonly event: string
  readonly state: number
  readonly new_state: number
}

/** Rules of QEMU's `blkdebug` driver (QAPI: BlockdevOptionsBlkdebug). */
export interface BlkdebugRules {
  readonly 'inject-error': readonly InjectError[]
  readonly 'set-state': readonly SetState[]
}

const EIO = 5
const ENOSPC = 28
/** What each request of a kind makes happen in the driver, exactly once. */
const EVENTS: Readonly<Record<'read' | 'write' | 'flush', readonly string[]>> = {
  read: ['preadv'],
  write: ['pwritev', 'pwritev_zero'],
  flush: ['flush_to_disk'],
}
/** Rules are searched one after the other at each request. */
const MAX_RULES = 20_000
const MAX_SECTOR = Number.MAX_SAFE_INTEGER / 512

/** The rules for a fault. Rejects with `INVALID_ARGUMENT`. */
export function blkdebugRules(fault: DiskFault): BlkdebugRules {
  const kind =
    fault.kind === 'torn-sectors' || fault.kind === 'read-error'
      ? 'read'
      : fault.kind === 'flush-error'
        ? 'flush'
        : 'write'
  const sectors = 'sectors' in fault ? fault.sectors : undefined
  const after = 'after' in fault ? (fault.after ?? 0) : 0
  const times = 'times' in fault ? fault.times : undefined
  check(sectors, after, times)
  const requests: readonly Request[] = kind === 'write' ? ['write', 'write-zeroes'] : [kind]
  const errno = fault.kind === 'host-full' ? ENOSPC : EIO
  const events = EVENTS[kind]
  const inject = requests.flatMap((iotype) =>
    (sectors ?? [undefined]).flatMap((sector) => {
      const rule = { iotype, errno, ...(sector === undefined ? {} : { sector }) }
      // An error that comes with an event is armed by it, and stays armed.
      const armed =
        after === 0 ? [{ event: 'none', ...rule }] : events.map((event) => ({ event, state: after + 1, ...rule }))
      return times === undefined
        ? armed
        : armed.flatMap((one) => Array<InjectError>(times).fill({ ...one, once: true }))
    }),
  )
  const count = Array.from({ length: after }, (_, index) =>
    events.map((event) => ({ event, state: index + 1, new_state: index + 2 })),
  ).flat()
  const rules = inject.length + count.length
  if (rules > MAX_RULES) refuse(`at most ${MAX_RULES} rules (sectors × times + after)`, rules)
  return { 'inject-error': inject, 'set-state': count }
}

/** A layer that fails requests. */
export function faultLayer(rules: BlkdebugRules): BlockLayer {
  return {
    async open(qmp, below) {
      const [debug, top] = [nodeName('errors'), nodeName('top')]
      // QEMU takes a list without rules for an option that it does not know.
      const lists = Object.fromEntries(Object.entries(rules).filter(([, list]) => list.length > 0))
      await qmp.execute('blockdev-add', {
        'node-name': debug,
        driver: 'blkdebug',
        image: below,
        ...KEEPS_DISCARDS,
        ...lists,
      })
      try {
        // Events of a flush reach the driver from the node above it.
        await qmp.execute('blockdev-add', { 'node-name': top, driver: 'raw', file: debug, ...KEEPS_DISCARDS })
      } catch (error) {
        await qmp.execute('blockdev-del', { 'node-name': debug })
        throw error
      }
      return [debug, top]
    },
  }
}

/** Nothing of the n-th write (or flush) reaches the disk, nor of anything after it; QEMU pauses the machine there. */
export function stopRules(kind: 'write' | 'flush', n: number): BlkdebugRules {
  if (!Number.isInteger(n) || n < 1) refuse('a count from 1', n)
  if (n > MAX_RULES / 2) refuse(`a count up to ${MAX_RULES / 2}`, n)
  const after = n - 1
  const events = EVENTS[kind]
  const count = Array.from({ length: after }, (_, index) =>
    events.map((event) => ({ event, state: index + 1, new_state: index + 2 })),
  ).flat()
  const arming = after === 0 && kind === 'write' ? ['none'] : events
  const inject = arming.flatMap((event) =>
    (['write', 'write-zeroes', 'discard', 'flush'] as const).map((iotype) => ({
      event,
      ...(event === 'none' ? {} : { state: after + 1 }),
      iotype,
      errno: ENOSPC,
    })),
  )
  return { 'inject-error': inject, 'set-state': count }
}

function check(sectors: readonly number[] | undefined, after: number, times: number | undefined): void {
  const wrong = sectors?.find((sector) => !Number.isInteger(sector) || sector < 0 || sector > MAX_SECTOR)
  if (wrong !== undefined) refuse('sector numbers', wrong)
  if (sectors?.length === 0) refuse('at least one sector', 0)
  if (!Number.isInteger(after) || after < 0) refuse('a whole number as after', after)
  if (times !== undefined && !(Number.isInteger(times) && times >= 1)) refuse('times of at least 1', times)
}

function refuse(expected: string, found: number): never {
  throw new BootwrightError('INVALID_ARGUMENT', `A disk fault needs ${expected}, found ${found}`, {
    hint: "For example { kind: 'read-error', sectors: [2048], times: 1 }.",
  })
}
