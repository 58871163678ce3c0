import { bootTimeUSec, interfaceIndex, interfaceName } from '../../system/index.ts'
import { imdsError } from '../errors.ts'
import type { WellKnown } from '../well-known.ts'
import { InterfaceCache, pinnedPath, readPinnedName, unpinName } from './cache.ts'
import { fetchDirect, type TokenMemory } from './fetch.ts'
import { FileMemory } from './file-memory.ts'
import { fetchSearching } from './search.ts'
import type { BrokerSettings, Fetched, FetchRequest } from './settings.ts'

/** The kernel is asked for an interface's name by way of a socket, which takes longer than all else of a call. */
const NAME_USEC = 1_000_000

/** Asks for metadata on behalf of others, and remembers what it was told. */
export class Broker {
  readonly settings: BrokerSettings
  readonly #tokens: TokenMemory = new Map()
  readonly #running = new Map<string, Promise<Fetched>>()
  readonly #caches = new Map<string, InterfaceCache>()
  readonly #pinnedName = new FileMemory<string>()
  readonly #names = new Map<number, { readonly name: string; readonly untilUSec: number }>()

  constructor(settings: BrokerSettings) {
    this.settings = settings
  }

  /**
   * What the endpoint has under a key. Rejects with a `VarlinkErrorReply`, and with the reason of the signal.
   *
   * @param own tokens of a connection that is to share none
   */
  async fetch(request: FetchRequest, signal: AbortSignal, own: TokenMemory = new Map()): Promise<Fetched> {
    if (this.settings.endpoint === undefined) throw imdsError('NotSupported')
    if (!request.cache) return this.#fetchBy(request, own, signal)
    const known = this.#recall(request)
    if (known !== undefined) return known
    // Many ask for the same at the same time, at boot above all: one request is enough for all of them.
    const identity = JSON.stringify(request)
    const running = this.#running.get(identity) ?? this.#begin(identity, request)
    return orAbort(running, signal)
  }

  /** What is remembered, without what it takes to ask: most calls end here. */
  #recall({ interfaceIndex: given, key, refreshUSec }: FetchRequest): Fetched | undefined {
    const index = given ?? this.#pinned()
    const name = index === undefined ? undefined : this.#nameOf(index)
    if (index === undefined || name === undefined) return undefined
    const data = this.#cacheOf(name)?.read(key, refreshUSec)
    if (data === 'absent') throw imdsError('KeyNotFound')
    return data === undefined ? undefined : { data, interfaceIndex: index }
  }

  #nameOf(index: number): string | undefined {
    const nowUSec = bootTimeUSec()
    const known = this.#names.get(index)
    if (known !== undefined && nowUSec < known.untilUSec) return known.name
    const name = interfaceName(index)
    if (name === undefined) this.#names.delete(index)
    else this.#names.set(index, { name, untilUSec: nowUSec + NAME_USEC })
    return name
  }

  #cacheOf(name: string): InterfaceCache | undefined {
    const { runtimeDirectory } = this.settings
    const known = this.#caches.get(name)
    if (known !== undefined || runtimeDirectory === undefined) return known
    const cache = new InterfaceCache(runtimeDirectory, name)
    this.#caches.set(name, cache)
    return cache
  }

  #begin(identity: string, request: FetchRequest): Promise<Fetched> {
    const fetching = this.#fetchBy(request, this.#tokens, new AbortController().signal)
    this.#running.set(identity, fetching)
    const forget = (): void => void this.#running.delete(identity)
    fetching.then(forget, forget)
    return fetching
  }

  async #fetchBy(request: FetchRequest, tokens: TokenMemory, signal: AbortSignal): Promise<Fetched> {
    const index = request.interfaceIndex ?? (request.cache ? this.#pinned() : undefined)
    if (index !== undefined) return fetchDirect(this.settings, { ...request, interfaceIndex: index }, tokens, signal)
    return fetchSearching(this.settings, request, tokens, signal)
  }

  /** The interface that answered the last time. */
  #pinned(): number | undefined {
    const { runtimeDirectory } = this.settings
    if (runtimeDirectory === undefined) return undefined
    const name = this.#pinnedName.read(pinnedPath(runtimeDirectory), () => readPinnedName(runtimeDirectory))
    if (name === undefined) return undefined
    const index = name === '' ? undefined : interfaceIndex(name)
    if (index === undefined) unpinName(runtimeDirectory)
    return index
  }

  /** The path of a key; `WellKnownKeyUnset` where the endpoint has none for the name. */
  combineKey(wellKnown: WellKnown, key: string | undefined): string {
    const path = wellKnown === 'base' ? '' : this.settings.endpoint?.wellKnown?.[wellKnown]
    if (path === undefined || (wellKnown === 'base' && key === undefined)) throw imdsError('WellKnownKeyUnset')
    return `${path}${key ?? ''}`
  }
}

async function orAbort<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const abort = (): void => reject(signal.reason)
  signal.addEventListener('abort', abort, { once: true })
  try {
    signal.throwIfAborted()
    return await Promise.race([promise, aborted])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
