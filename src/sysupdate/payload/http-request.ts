import * as http from 'node:http'
import * as https from 'node:https'
import { BootwrightError } from '../../system/index.ts'
import { downloadError, printable } from './download-error.ts'
import { gathered } from './gathered.ts'
import { type StallLimit, StallWatch } from './stall-watch.ts'

export interface HttpOptions {
  readonly signal?: AbortSignal | undefined
  readonly headers?: Readonly<Record<string, string>>
  readonly stall: StallLimit
  /** A server may send us on to another host; without, only to another place on the same one. */
  readonly mayLeaveHost?: boolean | undefined
}

/** An answer whose body has not been read yet. */
export interface Answer {
  readonly url: string
  readonly status: number
  readonly headers: http.IncomingHttpHeaders
  /** The body as it is sent, in pieces as {@link gathered} makes them. Rejects with `DOWNLOAD_FAILED`; leaving it early ends the connection. */
  body(): AsyncGenerator<Buffer, void, void>
  /** Ends the connection, for answers whose body nobody wants. */
  close(): void
}

const MAX_REDIRECTS = 10
const REDIRECTS = new Set([301, 302, 303, 307, 308])
const USER_AGENT = 'bootwright-sysupdate'

const agents = new Map<string, http.Agent>()

/** Made by the first to ask for it: TLS alone takes as long to load as all else of a call. */
function agentFor(protocol: string): http.Agent {
  const known = agents.get(protocol)
  if (known !== undefined) return known
  // Proxies as everybody sets them: `http_proxy`, `https_proxy`, `no_proxy`.
  const agent = new (protocol === 'https:' ? https : http).Agent({ proxyEnv: process.env })
  agents.set(protocol, agent)
  return agent
}

/** Asks for an address over HTTP or HTTPS and follows redirects. Rejects with `DOWNLOAD_FAILED`, or what `signal` has. */
export async function request(address: string, options: HttpOptions): Promise<Answer> {
  let url = httpUrl(address, address)
  for (let count = 0; count <= MAX_REDIRECTS; count++) {
    const answer = await requestOnce(url, options)
    if (!REDIRECTS.has(answer.status)) return answer
    answer.close()
    url = redirectTarget(url, answer.headers.location, options.mayLeaveHost === true)
  }
  throw downloadError('redirected', address, `it was sent on more than ${MAX_REDIRECTS} times`)
}

function httpUrl(address: string, base: string): URL {
  const url = URL.canParse(address, base) ? new URL(address, base) : undefined
  if (url === undefined || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw downloadError('address', address, 'expected http:// or https://')
  }
  return url
}

function redirectTarget(from: URL, location: string | undefined, mayLeaveHost: boolean): URL {
  if (location === undefined) throw downloadError('redirected', from.href, 'it is sent on, but not told where')
  const target = URL.canParse(location, from.href) ? new URL(location, from.href) : undefined
  const shown = printable(location)
  if (target === undefined || (target.protocol !== 'http:' && target.protocol !== 'https:')) {
    throw downloadError('redirected', from.href, `it is sent on to "${shown}", which is neither http nor https`)
  }
  if (from.protocol === 'https:' && target.protocol === 'http:') {
    throw downloadError('redirected', from.href, `it is sent on from https to "${shown}"`)
  }
  if (target.hostname !== from.hostname && !mayLeaveHost) {
    throw downloadError('redirected', from.href, `it is sent on to another host, "${printable(target.hostname)}"`)
  }
  return target
}

async function requestOnce(url: URL, options: HttpOptions): Promise<Answer> {
  options.signal?.throwIfAborted()
  const { promise, resolve, reject } = Promise.withResolvers<http.IncomingMessage>()
  const isSecure = url.protocol === 'https:'
  const sent = (isSecure ? https : http).request(url, {
    agent: agentFor(url.protocol),
    // Bytes are hashed as they are sent, so nothing may be packed for the way.
    headers: { 'user-agent': USER_AGENT, 'accept-encoding': 'identity', ...options.headers },
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  })
  let stalled: BootwrightError | undefined
  const watch = new StallWatch(options.stall, () => {
    const { bytesPerSecond, windowMs } = options.stall
    const problem = `fewer than ${bytesPerSecond} bytes a second came in ${windowMs} ms`
    stalled = downloadError('stalled', url.href, problem)
    sent.destroy(stalled)
  })
  const failure = (cause: unknown): unknown => {
    options.signal?.throwIfAborted()
    return stalled ?? (cause instanceof BootwrightError ? cause : broken(url, cause))
  }
  sent.once('response', resolve)
  sent.on('error', reject)
  watch.wait()
  sent.end()
  let message: http.IncomingMessage
  try {
    message = await promise
  } catch (cause) {
    throw failure(cause)
  } finally {
    watch.got(1)
  }
  return {
    url: url.href,
    status: message.statusCode ?? 0,
    headers: message.headers,
    close: () => message.destroy(),
    async *body() {
      using _ = watch
      const chunks = gathered(message)
      try {
        for (;;) {
          watch.wait()
          const next = await chunks.next()
          watch.got(next.done === true ? 1 : next.value.byteLength)
          if (next.done === true) break
          yield next.value
        }
      } catch (cause) {
        throw failure(cause)
      } finally {
        message.destroy()
      }
    },
  }
}

function broken(url: URL, cause: unknown): BootwrightError {
  const { code, message } = cause as NodeJS.ErrnoException
  return downloadError('broken', url.href, `the connection failed: ${printable(message || code || 'no reason')}`, {
    cause,
  })
}
