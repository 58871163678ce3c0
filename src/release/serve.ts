import { once } from 'node:events'
import { constants } from 'node:fs'
import { type FileHandle, open, realpath } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Server as NetServer } from 'node:net'
import { join } from 'node:path'
import { Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { BootwrightError } from '../system/index.ts'
import { type ByteRange, parseRange } from './byte-range.ts'
import { type ServeFault, type ServeFaultRule, ServeFaults } from './serve-faults.ts'

export interface ServeOptions {
  /** Where connections come from, made where its address exists, such as in a network of machines: instead of `host` and `port`. */
  readonly server?: NetServer
  /** Address to listen on; loopback without. */
  readonly host?: string
  /** A free one without. */
  readonly port?: number
  readonly faults?: readonly ServeFaultRule[]
  readonly onRequest?: (request: ServedRequest) => void
}

export interface ServedRequest {
  readonly method: string
  readonly path: string
  readonly range: string | undefined
  /** 0 until it is answered. */
  readonly status: number
  readonly fault: ServeFault['kind'] | undefined
}

/** A directory that is served over HTTP, until it is disposed of. */
export interface FileServer extends AsyncDisposable {
  /** Where it is, without a slash at the end. */
  readonly url: string
  /** Everything that was asked so far. */
  readonly requests: readonly ServedRequest[]
  /** Adds a fault behind the others; disposing of the result takes it away. */
  fail(rule: ServeFaultRule): Disposable
}

const SLICE_MS = 50

/**
 * Serves the regular files of a directory over HTTP/1.1 (RFC 9110): GET and HEAD, ranges, strong ETags, conditional
 * requests. What lies outside the directory, also behind a link, is not there.
 */
export async function serveDirectory(directory: string, options: ServeOptions = {}): Promise<FileServer> {
  const root = await realpath(directory).catch((cause: unknown) => {
    throw new BootwrightError('INVALID_ARGUMENT', `There is no directory ${directory}`, { cause })
  })
  const faults = new ServeFaults()
  for (const rule of options.faults ?? []) faults.add(rule)
  const requests: ServedRequest[] = []
  const server = createServer((request, response) => {
    const path = pathOf(request.url ?? '/')
    const fault = faults.take(path ?? '')
    const { method = '', headers } = request
    const served = { method, path: path ?? '', range: headers.range, status: 0, fault: fault?.kind }
    requests.push(served)
    response.once('close', () => {
      served.status = response.statusCode
      options.onRequest?.(served)
    })
    answer(root, path, request, response, fault).catch(() => response.destroy())
  })
  if (options.server === undefined) await listen(server, options.host ?? '127.0.0.1', options.port ?? 0)
  options.server?.on('connection', (socket) => server.emit('connection', socket))
  const listening = options.server ?? server
  const { address, family, port } = listening.address() as AddressInfo
  return {
    url: `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`,
    requests,
    fail: (rule) => faults.add(rule),
    async [Symbol.asyncDispose]() {
      const isListening = listening.listening
      listening.close()
      server.closeAllConnections()
      if (isListening) await once(listening, 'close')
    },
  }
}

async function listen(server: Server, host: string, port: number): Promise<void> {
  server.listen(port, host)
  await once(server, 'listening').catch((cause: NodeJS.ErrnoException) => {
    throw new BootwrightError('HOST_UNSUITABLE', `Cannot listen on ${host}, port ${port}: ${cause.code}`, {
      cause,
      hint: 'Choose another port with --port, or an address of this host with --host.',
    })
  })
}

/** The path in a request's target, decoded; undefined when it is none, or leads out of the directory. */
function pathOf(target: string): string | undefined {
  try {
    const path = decodeURIComponent(target.replace(/[?#].*$/s, ''))
    const isInside = path.startsWith('/') && !path.includes('\0') && !path.split('/').includes('..')
    return isInside ? path : undefined
  } catch {
    return undefined
  }
}

async function answer(
  root: string,
  path: string | undefined,
  request: IncomingMessage,
  response: ServerResponse,
  fault: ServeFault | undefined,
): Promise<void> {
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.setHeader('allow', 'GET, HEAD')
    return refuse(response, 405)
  }
  if (fault?.kind === 'status') return refuse(response, fault.status)
  if (fault?.kind === 'redirect') {
    response.setHeader('location', fault.location)
    return refuse(response, 302)
  }
  if (path === undefined) return refuse(response, 400)
  await using file = await openBelow(root, path)
  if (file === undefined) return refuse(response, 404)
  const { size, mtime, mtimeNs, ino } = await identity(file)
  const etag = `"${size.toString(16)}-${mtimeNs.toString(16)}-${ino.toString(16)}"`
  const lastModified = mtime.toUTCString()
  response.setHeaders(
    new Map([
      ['etag', etag],
      ['last-modified', lastModified],
      ['accept-ranges', 'bytes'],
    ]),
  )
  if (isUnchanged(request, etag, mtime)) {
    response.writeHead(304).end()
    return
  }
  const ifRange = request.headers['if-range']
  const mayBePart = ifRange === undefined || ifRange === etag || ifRange === lastModified
  const range = mayBePart ? parseRange(request.headers.range, size) : undefined
  if (range === 'unsatisfiable') {
    response.setHeader('content-range', `bytes */${size}`)
    return refuse(response, 416)
  }
  await send(file, request, response, { range, size, fault })
}

async function send(
  file: FileHandle,
  request: IncomingMessage,
  response: ServerResponse,
  what: { range: ByteRange | undefined; size: number; fault: ServeFault | undefined },
): Promise<void> {
  const { range, size, fault } = what
  const { first, last } = range ?? { first: 0, last: size - 1 }
  if (range !== undefined) response.setHeader('content-range', `bytes ${first}-${last}/${size}`)
  if (fault?.kind !== 'endless') response.setHeader('content-length', last - first + 1)
  response.writeHead(range === undefined ? 200 : 206, { 'content-type': 'application/octet-stream' })
  if (request.method === 'HEAD') {
    response.end()
    return
  }
  // Node reads a file of no bytes to its end, which is all of it.
  const body = size === 0 ? Readable.from([]) : file.createReadStream({ start: first, end: last, autoClose: false })
  if (fault === undefined) return pipeline(body, response)
  if (fault.kind === 'endless') return pipeline(Readable.from(endless()), response)
  await pipeline(body, faulty(fault, response), response)
}

function* endless(): Generator<Buffer> {
  const block = Buffer.alloc(64 * 1024)
  for (;;) yield block
}

/** The body on its way, with what is wrong about it. */
function faulty(fault: ServeFault, response: ServerResponse): Transform {
  let sent = 0
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      void (async () => {
        if (fault.kind === 'slow') {
          const slice = Math.max(1, Math.ceil((fault.bytesPerSecond * SLICE_MS) / 1000))
          const pauseMs = (slice * 1000) / fault.bytesPerSecond
          for (let at = 0; at < chunk.byteLength && !response.destroyed; at += slice) {
            this.push(chunk.subarray(at, at + slice))
            await sleep(pauseMs)
          }
        } else if (fault.kind === 'truncate' || fault.kind === 'stall') {
          this.push(chunk.subarray(0, Math.max(0, fault.bytes - sent)))
          sent += chunk.byteLength
          if (sent < fault.bytes) return done()
          // What was written must be on its way before the connection goes.
          await sleep(SLICE_MS)
          if (fault.kind === 'truncate') response.destroy()
          else await once(response, 'close')
        } else if (fault.kind === 'corrupt') {
          const at = fault.bytes - sent
          const changed = Buffer.from(chunk)
          if (at >= 0 && at < changed.byteLength) changed[at] = (changed[at] ?? 0) ^ 0xff
          sent += chunk.byteLength
          this.push(changed)
        }
        done()
      })()
    },
  })
}

function refuse(response: ServerResponse, status: number): void {
  response.writeHead(status, { 'content-length': 0 }).end()
}

/** RFC 9110, 13.2.2: the tag counts where there is one, else the time. */
function isUnchanged(request: IncomingMessage, etag: string, mtime: Date): boolean {
  const tags = request.headers['if-none-match']
  if (tags !== undefined) return tags.split(',').some((tag) => ['*', etag].includes(tag.trim().replace(/^W\//, '')))
  const since = Date.parse(request.headers['if-modified-since'] ?? '')
  return !Number.isNaN(since) && Math.floor(mtime.getTime() / 1000) * 1000 <= since
}

async function openBelow(root: string, path: string): Promise<FileHandle | undefined> {
  try {
    const real = await realpath(join(root, path))
    if (!real.startsWith(`${root === '/' ? '' : root}/`)) return undefined
    const file = await open(real, constants.O_RDONLY | constants.O_NONBLOCK)
    if ((await file.stat()).isFile()) return file
    await file.close()
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ENOENT' && code !== 'ENOTDIR' && code !== 'EACCES' && code !== 'ENAMETOOLONG') throw error
  }
  return undefined
}

async function identity(file: FileHandle): Promise<{ size: number; mtime: Date; mtimeNs: bigint; ino: bigint }> {
  const { size, mtime, mtimeNs, ino } = await file.stat({ bigint: true })
  return { size: Number(size), mtime, mtimeNs, ino }
}
