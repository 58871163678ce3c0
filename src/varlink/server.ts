import { chmod } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import { BootwrightError } from '../system/index.ts'
import { peerOf } from './peer.ts'
import { CONNECTION_LIMITS, type ConnectionLimits, serveConnection } from './serve-connection.ts'
import type { VarlinkService } from './service.ts'

export interface ServerLimits extends ConnectionLimits {
  /** One more is closed at once. */
  readonly maxConnections: number
  /** Of one user, root excepted. */
  readonly maxConnectionsPerUid: number
  /** Of all messages that are on their way. */
  readonly maxPendingBytes: number
}

const SERVER_LIMITS: ServerLimits = {
  ...CONNECTION_LIMITS,
  maxConnections: 4096,
  maxConnectionsPerUid: 1024,
  maxPendingBytes: 128 * 1024 * 1024,
}

export interface ServerOptions {
  readonly limits?: Partial<ServerLimits>
  /** Of the socket in the file system; 0o600 when absent. */
  readonly mode?: number
  /** Told of what a method threw that is no reply, and of why a connection was cut or refused. */
  readonly onProblem?: (problem: BootwrightError) => void
}

/** A service that answers. Leaving the scope closes its socket and cuts every connection. */
export interface VarlinkServer extends AsyncDisposable {
  readonly connections: number
}

/**
 * Serves on a UNIX socket: a path where nothing is yet, or a server that listens already. Rejects with `HOST_UNSUITABLE` when
 * it cannot listen.
 */
export async function serveVarlink(
  service: VarlinkService,
  at: string | Server,
  options: ServerOptions = {},
): Promise<VarlinkServer> {
  const limits = { ...SERVER_LIMITS, ...options.limits }
  const ending = new AbortController()
  const running = new Set<Promise<void>>()
  const perUid = new Map<number | undefined, number>()
  let pendingBytes = 0
  const tell = (code: 'HOST_UNSUITABLE', message: string): BootwrightError => {
    const problem = new BootwrightError(code, message)
    options.onProblem?.(problem)
    return problem
  }
  const onPending = (change: number): void => {
    pendingBytes += change
    if (change > 0 && pendingBytes > limits.maxPendingBytes) {
      throw new BootwrightError('HOST_UNSUITABLE', `More than ${limits.maxPendingBytes} bytes of messages on their way`)
    }
  }
  const accept = (socket: Socket): void => {
    const peer = peerOf(socket)
    const ofUid = (perUid.get(peer.uid) ?? 0) + 1
    if (ending.signal.aborted || running.size >= limits.maxConnections) {
      socket.destroy()
      tell('HOST_UNSUITABLE', `More than ${limits.maxConnections} connections`)
      return
    }
    if (peer.uid !== 0 && ofUid > limits.maxConnectionsPerUid) {
      socket.destroy()
      tell('HOST_UNSUITABLE', `More than ${limits.maxConnectionsPerUid} connections of user ${peer.uid}`)
      return
    }
    perUid.set(peer.uid, ofUid)
    const { onProblem } = options
    const serving = serveConnection(service, socket, { limits, peer, signal: ending.signal, onProblem, onPending })
    running.add(serving)
    void serving.finally(() => {
      running.delete(serving)
      const left = (perUid.get(peer.uid) ?? 1) - 1
      if (left > 0) perUid.set(peer.uid, left)
      else perUid.delete(peer.uid)
    })
  }
  const server = typeof at === 'string' ? await listen(at, options.mode ?? 0o600) : at
  server.on('connection', accept)
  server.on('error', (error) => tell('HOST_UNSUITABLE', `Cannot take a connection: ${error.message}`))
  return {
    get connections() {
      return running.size
    },
    async [Symbol.asyncDispose]() {
      ending.abort()
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      await Promise.all([closed, ...running])
    },
  }
}

async function listen(path: string, mode: number): Promise<Server> {
  const server = createServer({ allowHalfOpen: true })
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.once('error', reject)
  server.listen({ path, backlog: 1024 }, resolve)
  try {
    await promise
    server.off('error', reject)
    await chmod(path, mode)
    return server
  } catch (cause) {
    server.close()
    const problem = cause instanceof Error ? cause.message : String(cause)
    throw new BootwrightError('HOST_UNSUITABLE', `Cannot listen on ${path}: ${problem}`, {
      cause,
      hint: 'The directory has to be there, and nothing in the place of the socket.',
    })
  }
}
