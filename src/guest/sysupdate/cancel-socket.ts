import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, rmSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'

/** How a run ended that somebody wanted to cancel. */
export type RunEnd = 'cancelled' | 'finished'

/** Where a run listens for who wants to cancel it: each connection of a client may be served by a process of its own. */
export interface CancelSocket {
  /** Tells all who wait for it how the run has ended, and listens no more. */
  end(how: RunEnd): void
}

/**
 * Listens in a directory that only this user can enter. A socket of a run that was killed is replaced: whoever calls this has
 * the locks of the target.
 */
export async function listenForCancel(directory: string, target: string, cancel: () => void): Promise<CancelSocket> {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const path = socketPath(directory, target)
  rmSync(path, { force: true })
  const waiting = new Set<Socket>()
  const server = createServer((socket) => {
    // Who is gone does not hear how it ended.
    socket.on('error', () => undefined)
    waiting.add(socket)
    cancel()
  })
  server.listen(path)
  await once(server, 'listening')
  return {
    end(how) {
      rmSync(path, { force: true })
      server.close()
      for (const socket of waiting) socket.end(how)
    },
  }
}

/** Asks the run of a target to end, and waits until it has put away what was half done; undefined where there is none. */
export async function askToCancel(directory: string, target: string, signal: AbortSignal): Promise<RunEnd | undefined> {
  const socket = connect({ path: socketPath(directory, target), signal })
  try {
    await once(socket, 'connect')
  } catch {
    signal.throwIfAborted()
    return undefined
  }
  let word = ''
  for await (const chunk of socket) word += String(chunk)
  return word === 'cancelled' || word === 'finished' ? word : undefined
}

/** Short enough for the address of a socket, whatever the target is called. */
function socketPath(directory: string, target: string): string {
  return join(directory, createHash('sha256').update(target).digest('hex').slice(0, 32))
}
