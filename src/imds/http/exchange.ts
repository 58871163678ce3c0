import { lookup } from 'node:dns/promises'
import { isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { BootwrightError, connectTcp, interfaceIndex, type TcpSocketOptions } from '../../system/index.ts'
import { formatRequest, type Header } from './request.ts'
import { BodyTooLarge, type HttpResponse, ResponseReader } from './response.ts'
import { type HttpTarget, parseHttpUrl, parseRedirect } from './target.ts'

export interface ExchangeOptions {
  readonly socket: TcpSocketOptions
  /** Sent in front of the others, where those have none of the same name. */
  readonly ownHeaders: readonly Header[]
  readonly maxBodyBytes: number
  readonly signal: AbortSignal
}

/** No answer, or none that can be read. */
export class TransferFailure extends Error {
  override readonly name = 'TransferFailure'
  /** Whether the next attempt may find better: nobody was there, or the connection broke. */
  readonly mayPass: boolean

  constructor(message: string, mayPass: boolean, cause?: unknown) {
    super(message, { cause })
    this.mayPass = mayPass
  }
}

/** As many as libcurl follows. */
const MAX_REDIRECTS = 30
/** What is for one host is not told to another. */
const PRIVATE_HEADER = /^(?:authorization|cookie)$/i

/**
 * Sends a request and gives its answer, that of another address where the first one leads there. Rejects with a
 * {@link TransferFailure}, with {@link BodyTooLarge}, or with the reason of the signal.
 */
export async function exchange(
  method: 'GET' | 'PUT',
  url: string,
  headers: readonly Header[],
  options: ExchangeOptions,
): Promise<HttpResponse> {
  const first = parseHttpUrl(url)
  if (first === undefined) throw new TransferFailure(`Not an address of HTTP: ${url}`, false)
  let target = first
  for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
    const isElsewhere = target.authority !== first.authority
    const sent = isElsewhere ? headers.filter(([name]) => !PRIVATE_HEADER.test(name)) : headers
    const response = await sendTo(method, target, sent, options)
    if (response.status < 300 || response.status > 399 || response.location === undefined) return response
    const next = parseRedirect(target, response.location)
    if (next === undefined) throw new TransferFailure(`Leads to no address of HTTP: ${response.location}`, false)
    target = next
  }
  throw new TransferFailure(`More than ${MAX_REDIRECTS} redirects`, false)
}

/** Tries one address of the host after the other, until somebody is there. */
async function sendTo(
  method: 'GET' | 'PUT',
  target: HttpTarget,
  headers: readonly Header[],
  options: ExchangeOptions,
): Promise<HttpResponse> {
  const request = formatRequest(method, target, options.ownHeaders, headers)
  if (request === undefined) throw new TransferFailure('A header cannot be sent', false)
  let failure: unknown
  for (const address of await addressesOf(target)) {
    options.signal.throwIfAborted()
    try {
      return await transfer(request, target, address, options)
    } catch (error) {
      if (!(error instanceof TransferFailure && error.cause instanceof NobodyThere)) throw error
      failure = error
    }
  }
  throw failure
}

class NobodyThere extends Error {}

async function addressesOf({ host }: HttpTarget): Promise<string[]> {
  if (isIP(host) !== 0) return [host]
  try {
    return (await lookup(host, { all: true })).map(({ address }) => address)
  } catch (cause) {
    throw new TransferFailure(`Cannot find ${host}`, false, cause)
  }
}

function open(target: HttpTarget, address: string, options: TcpSocketOptions): Socket {
  try {
    const scopeId = target.zone === undefined ? undefined : (interfaceIndex(target.zone) ?? Number(target.zone))
    const at = { address, port: target.port, ...(scopeId !== undefined && { scopeId }) }
    const socket = connectTcp(at, options)
    if (!target.isSecure) return socket
    const servername = isIP(target.host) === 0 ? { servername: target.host } : {}
    return connectTls({ socket, ...servername })
  } catch (cause) {
    throw new TransferFailure('Cannot make a socket', false, cause)
  }
}

async function transfer(
  request: Uint8Array,
  target: HttpTarget,
  address: string,
  { socket: socketOptions, maxBodyBytes, signal }: ExchangeOptions,
): Promise<HttpResponse> {
  const socket = open(target, address, socketOptions)
  const reader = new ResponseReader(maxBodyBytes)
  const { promise, resolve, reject } = Promise.withResolvers<HttpResponse>()
  const abort = (): void => reject(signal.reason)
  const read = (next: () => HttpResponse | undefined): void => {
    try {
      const response = next()
      if (response !== undefined) resolve(response)
    } catch (error) {
      reject(error instanceof BodyTooLarge ? error : unreadable(error))
    }
  }
  signal.addEventListener('abort', abort, { once: true })
  socket.on('data', (chunk: Buffer) => read(() => reader.push(chunk)))
  socket.on('end', () => {
    if (reader.hasBegun) read(() => reader.end())
    else reject(new TransferFailure('The connection ended without an answer', true))
  })
  socket.on('error', (error: NodeJS.ErrnoException) => {
    const isNobody = !reader.hasBegun && error.code !== 'ECONNRESET' && error.code !== 'EPIPE'
    const cause = isNobody ? new NobodyThere(error.message) : error
    reject(new TransferFailure(`The connection failed: ${error.message}`, true, cause))
  })
  socket.on('close', () => reject(new TransferFailure('The connection was closed', true)))
  if (signal.aborted) abort()
  else socket.write(request)
  try {
    return await promise
  } finally {
    signal.removeEventListener('abort', abort)
    socket.destroy()
  }
}

/** A chunk that is none may be somebody's accident on the way; libcurl takes it for a broken connection too. */
function unreadable(error: unknown): TransferFailure {
  const field = error instanceof BootwrightError ? error.detail.field : undefined
  const isEnd = error instanceof Error && error.message.includes('ends before')
  const mayPass = !isEnd && (field === 'chunk' || field === 'chunk line')
  return new TransferFailure(error instanceof Error ? error.message : String(error), mayPass, error)
}
