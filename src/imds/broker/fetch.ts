import { setTimeout as sleep } from 'node:timers/promises'
import { bootTimeUSec, interfaceName } from '../../system/index.ts'
import { VarlinkErrorReply } from '../../varlink/index.ts'
import type { UsableEndpoint } from '../endpoint/endpoint.ts'
import { imdsError, leakedErrno, systemFailure } from '../errors.ts'
import { exchange, TransferFailure } from '../http/exchange.ts'
import { type Header, splitHeader } from '../http/request.ts'
import { BodyTooLarge, type HttpResponse } from '../http/response.ts'
import { InterfaceCache, pinName, type Token } from './cache.ts'
import { MAX_DATA_BYTES, MAX_TOKEN_BYTES } from './limits.ts'
import type { BrokerSettings, Fetched, FetchRequest } from './settings.ts'

/** Tokens by interface, of one connection or of all. */
export type TokenMemory = Map<number, Token>

/** Asks the endpoint, or what is remembered of it, by way of one interface. Rejects with a {@link VarlinkErrorReply}. */
export async function fetchDirect(
  settings: BrokerSettings,
  request: FetchRequest & { readonly interfaceIndex: number },
  tokens: TokenMemory,
  signal: AbortSignal,
): Promise<Fetched> {
  const { endpoint } = settings
  if (endpoint === undefined) throw imdsError('NotSupported')
  const name = interfaceName(request.interfaceIndex)
  if (name === undefined) throw imdsError('CommunicationFailure')
  const deadline = AbortSignal.timeout(settings.directDeadlineMs)
  const either = AbortSignal.any([signal, deadline])
  try {
    const fetch = new DirectFetch({ ...settings, endpoint }, request, name, tokens, either)
    return { data: await fetch.run(), interfaceIndex: request.interfaceIndex }
  } catch (error) {
    if (deadline.aborted && !signal.aborted && !(error instanceof VarlinkErrorReply)) throw imdsError('Timeout')
    throw error
  }
}

/** What an answer of the endpoint means. */
type Meaning = 'good' | 'absent' | 'unavailable' | 'later' | 'token' | 'bad'

class DirectFetch {
  readonly #settings: BrokerSettings & { readonly endpoint: UsableEndpoint }
  readonly #request: FetchRequest & { readonly interfaceIndex: number }
  readonly #interfaceName: string
  readonly #tokens: TokenMemory
  readonly #signal: AbortSignal
  readonly #cache: InterfaceCache | undefined
  #retries = 0
  #tokensRefused = 0

  constructor(
    settings: BrokerSettings & { readonly endpoint: UsableEndpoint },
    request: FetchRequest & { readonly interfaceIndex: number },
    name: string,
    tokens: TokenMemory,
    signal: AbortSignal,
  ) {
    this.#settings = settings
    this.#request = request
    this.#interfaceName = name
    this.#tokens = tokens
    this.#signal = signal
    const { runtimeDirectory } = settings
    if (runtimeDirectory !== undefined && request.cache) this.#cache = new InterfaceCache(runtimeDirectory, name)
  }

  async run(): Promise<Uint8Array> {
    const { key, refreshUSec } = this.#request
    const known = this.#cache?.read(key, refreshUSec)
    if (known === 'absent') throw imdsError('KeyNotFound')
    if (known !== undefined) return known
    for (;;) {
      const token = await this.#token()
      const startUSec = bootTimeUSec()
      const response = await this.#send('GET', this.#dataUrl(), this.#dataHeaders(token), MAX_DATA_BYTES)
      const meaning = this.#meaningOfData(response)
      if (meaning === 'good') {
        this.#cache?.write(key, response.body, startUSec)
        return response.body
      }
      if (meaning === 'absent') {
        this.#cache?.write(key, 'absent', startUSec)
        throw imdsError('KeyNotFound')
      }
      if (meaning === 'token') await this.#dropToken()
      else await this.#refuseOrWait(meaning, response)
    }
  }

  #dataUrl(): string {
    const { dataUrl, dataUrlSuffix = '' } = this.#settings.endpoint
    return `${dataUrl}${this.#request.key}${dataUrlSuffix}`
  }

  #dataHeaders(token: string | undefined): Header[] {
    const { tokenHeaderName, extraHeader = [] } = this.#settings.endpoint
    const own: Header[] = token === undefined || tokenHeaderName === undefined ? [] : [[tokenHeaderName, ` ${token}`]]
    return [...own, ...extraHeader.flatMap((line) => [splitHeader(line) ?? []].filter(isHeader))]
  }

  /** The token to ask with; undefined where the endpoint wants none. */
  async #token(): Promise<string | undefined> {
    const { tokenUrl, refreshHeaderName } = this.#settings.endpoint
    if (tokenUrl === undefined) return undefined
    const { interfaceIndex, refreshUSec } = this.#request
    const now = bootTimeUSec()
    const held = this.#tokens.get(interfaceIndex)
    if (held !== undefined && held.validUntilUSec > now) return held.token
    const kept = this.#cache?.readToken()
    if (kept !== undefined) {
      this.#tokens.set(interfaceIndex, kept)
      return kept.token
    }
    const ttl: Header[] =
      refreshHeaderName === undefined ? [] : [[refreshHeaderName, ` ${Math.ceil(refreshUSec / 1_000_000)}`]]
    for (;;) {
      const startUSec = bootTimeUSec()
      const response = await this.#send('PUT', tokenUrl, ttl, MAX_TOKEN_BYTES)
      const meaning = this.#meaningOfToken(response)
      if (meaning !== 'good') {
        await this.#refuseOrWait(meaning, response)
        continue
      }
      const token = parseToken(response.body)
      if (token === undefined) throw systemFailure('EINVAL')
      const made = { token, validUntilUSec: startUSec + Math.floor(refreshUSec / 2) }
      this.#tokens.set(interfaceIndex, made)
      this.#cache?.writeToken(made)
      return token
    }
  }

  /** The endpoint does not take this token: another one, but not for ever. */
  async #dropToken(): Promise<void> {
    this.#tokens.delete(this.#request.interfaceIndex)
    this.#cache?.dropToken()
    this.#tokensRefused++
    if (this.#tokensRefused > this.#settings.retryDelaysMs.length) await this.#refuseOrWait('bad', undefined)
  }

  #meaningOfData({ status, body }: HttpResponse): Meaning {
    const usual = usualMeaning(status)
    if (usual !== undefined) return usual
    if (this.#settings.compat && body.length > 0) throw leakedErrno()
    if (status === 404) return 'absent'
    return status === 401 && this.#settings.endpoint.tokenUrl !== undefined ? 'token' : 'bad'
  }

  #meaningOfToken({ status, body }: HttpResponse): Meaning {
    const usual = usualMeaning(status)
    if (usual === undefined && this.#settings.compat && body.length > 0) throw leakedErrno()
    return usual ?? 'bad'
  }

  async #refuseOrWait(meaning: Meaning, response: HttpResponse | undefined): Promise<void> {
    if (meaning === 'unavailable') throw imdsError('NotAvailable')
    if (meaning !== 'later') {
      if (response !== undefined) this.#settings.log(`The endpoint answers with the status ${response.status}`)
      throw systemFailure('EIO')
    }
    if (await this.#waitToRetry()) return
    // There, nobody looks any more, and the deadline comes.
    if (this.#settings.compat) await forever(this.#signal)
    throw imdsError('CommunicationFailure')
  }

  /** The answer, from whichever attempt gets one. */
  async #send(
    method: 'GET' | 'PUT',
    url: string,
    headers: readonly Header[],
    maxBodyBytes: number,
  ): Promise<HttpResponse> {
    for (;;) {
      try {
        const response = await exchange(method, url, headers, {
          ownHeaders: ownHeaders(this.#settings.compat),
          socket: {
            mark: this.#request.mark,
            interfaceIndex: this.#request.interfaceIndex,
            isPortLow: method === 'GET',
          },
          maxBodyBytes,
          signal: this.#signal,
        })
        this.#pin()
        return response
      } catch (error) {
        if (error instanceof BodyTooLarge) {
          this.#pin()
          throw this.#settings.compat ? leakedErrno() : systemFailure('EFBIG')
        }
        if (!(error instanceof TransferFailure)) throw error
        this.#settings.log(error.message)
        if (!error.mayPass) throw imdsError('CommunicationFailure')
        if (!(await this.#waitToRetry())) throw systemFailure('EUCLEAN')
      }
    }
  }

  /** Whether there is another attempt. */
  async #waitToRetry(): Promise<boolean> {
    const delayMs = this.#settings.retryDelaysMs[this.#retries]
    if (delayMs === undefined) return false
    this.#retries++
    await sleep(delayMs, undefined, { signal: this.#signal })
    return true
  }

  /** Whoever answers, in whatever way, is the endpoint. */
  #pin(): void {
    const { runtimeDirectory } = this.#settings
    if (runtimeDirectory !== undefined && this.#request.cache) pinName(runtimeDirectory, this.#interfaceName)
  }
}

/** What a status means for data and tokens alike. */
function usualMeaning(status: number): Meaning | undefined {
  if (status === 403) return 'unavailable'
  if (status === 429 || status === 503) return 'later'
  if (status >= 200 && status < 300) return 'good'
  return undefined
}

function ownHeaders(compat: boolean): Header[] {
  return [
    ['User-Agent', compat ? ' systemd-imdsd/262-1' : ' systemd-imdsd/262 (bootwright)'],
    ['Accept', ' */*'],
  ]
}

/** A token is text without control characters; undefined for anything else. */
function parseToken(bytes: Uint8Array): string | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    return /\p{Cc}/u.test(text) ? undefined : text
  } catch {
    return undefined
  }
}

function isHeader(header: Header | readonly never[]): header is Header {
  return header.length === 2
}

async function forever(signal: AbortSignal): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>()
  const timer = setInterval(() => undefined, 60_000)
  signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  try {
    signal.throwIfAborted()
    return await promise
  } finally {
    clearInterval(timer)
  }
}
