import { networkInterfaces } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { interfaceIndex } from '../../system/index.ts'
import { VarlinkErrorReply } from '../../varlink/index.ts'
import { imdsError, imdsErrorName } from '../errors.ts'
import { fetchDirect, type TokenMemory } from './fetch.ts'
import type { BrokerSettings, Fetched, FetchRequest } from './settings.ts'

/** How often to look for new addresses. */
const LOOK_MS = 100

/** Addresses by number of their interface, without those of the loopback. */
export type InterfaceAddresses = () => ReadonlyMap<number, number>

/** The endpoint has been reached: what it says holds, whatever other interfaces would bring. */
const FINAL = new Set(['KeyNotFound', 'WellKnownKeyUnset', 'NotAvailable'])

interface Attempt {
  /** Addresses that its interface had when it began. */
  readonly addresses: number
  isAgain: boolean
  isRunning: boolean
}

/**
 * Asks by way of every interface that has an address at once, and gives the first good answer. Interfaces that get an address
 * meanwhile are tried too; one that gets another is tried once more.
 */
export async function fetchSearching(
  settings: BrokerSettings,
  request: FetchRequest,
  tokens: TokenMemory,
  signal: AbortSignal,
  addressesNow: InterfaceAddresses = hostAddresses,
): Promise<Fetched> {
  const ending = new AbortController()
  const deadline = AbortSignal.timeout(settings.searchDeadlineMs)
  const either = AbortSignal.any([signal, deadline, ending.signal])
  const { promise, resolve, reject } = Promise.withResolvers<Fetched>()
  const attempts = new Map<number, Attempt>()
  const start = (index: number, addresses: number, isAgain: boolean): void => {
    const attempt = { addresses, isAgain, isRunning: true }
    attempts.set(index, attempt)
    fetchDirect(settings, { ...request, interfaceIndex: index }, tokens, either).then(resolve, (error) => {
      attempt.isRunning = false
      fail(index, attempt, error)
    })
  }
  const fail = (index: number, attempt: Attempt, error: unknown): void => {
    if (either.aborted) return
    const isFinal = !(error instanceof VarlinkErrorReply) || FINAL.has(imdsErrorName(error) ?? '')
    const addresses = addressesNow().get(index) ?? 0
    // There, the addresses that an interface has from the beginning come one by one, and the second is news.
    const isNews = addresses > (settings.compat ? 1 : attempt.addresses)
    const isLast = !request.wait && ![...attempts.values()].some(({ isRunning }) => isRunning)
    if (isFinal) reject(error)
    else if (isNews && !attempt.isAgain) start(index, addresses, true)
    // Without parameters: they would be those of one interface among several.
    else if (isLast) reject(new VarlinkErrorReply(error.error))
  }
  try {
    void promise.catch(() => undefined).finally(() => ending.abort())
    while (!either.aborted) {
      for (const [index, addresses] of addressesNow()) {
        if (!attempts.has(index)) start(index, addresses, false)
      }
      await Promise.race([promise, sleep(LOOK_MS, undefined, { signal: either })]).catch(() => undefined)
    }
    if (!ending.signal.aborted) reject(deadline.aborted && !signal.aborted ? imdsError('Timeout') : signal.reason)
    return await promise
  } finally {
    ending.abort()
  }
}

function hostAddresses(): Map<number, number> {
  const found = new Map<number, number>()
  for (const [name, addresses = []] of Object.entries(networkInterfaces())) {
    if (addresses.some(({ internal }) => internal)) continue
    const index = interfaceIndex(name)
    if (index !== undefined) found.set(index, addresses.length)
  }
  return found
}
