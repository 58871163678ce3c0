import { createServer, type Server, Socket } from 'node:net'
import { BootwrightError, isListeningSocket } from '../system/index.ts'

/** A descriptor that the service manager has opened for us (sd_listen_fds(3)). */
export interface PassedDescriptor {
  readonly fd: number
  /** `FileDescriptorName=` of its unit. */
  readonly name: string
}

/** A socket that was passed: one to take connections from, or one connection (`Accept=yes`, and the `exec:` of varlinkctl). */
export type PassedSocket = { readonly server: Server } | { readonly connection: Socket }

/** The first of them is this (SD_LISTEN_FDS_START). */
const FIRST_FD = 3
/** More than any unit has. */
const MAX_FDS = 4096
const BACKLOG = 4096

/**
 * What `LISTEN_FDS`, `LISTEN_PID` and `LISTEN_FDNAMES` say; nothing where they are meant for another process. Rejects with
 * `INVALID_ARGUMENT` what no service manager says.
 */
export function passedDescriptors(
  env: Readonly<Record<string, string | undefined>>,
  pid: number,
): readonly PassedDescriptor[] {
  const { LISTEN_FDS: count, LISTEN_PID: meant, LISTEN_FDNAMES: names } = env
  if (count === undefined || meant !== String(pid)) return []
  const fds = /^\d{1,5}$/.test(count) ? Number(count) : Number.NaN
  if (!(fds <= MAX_FDS)) {
    throw new BootwrightError('INVALID_ARGUMENT', `LISTEN_FDS is a number up to ${MAX_FDS}, found "${count}"`)
  }
  const split = names?.split(':') ?? []
  return Array.from({ length: fds }, (_, index) => ({ fd: FIRST_FD + index, name: split[index] ?? 'unknown' }))
}

/** Makes a server or a connection of the descriptor; nothing is taken from it before the caller listens to its events. */
export async function openPassed({ fd }: PassedDescriptor): Promise<PassedSocket> {
  if (!isListeningSocket(fd)) return { connection: new Socket({ fd, readable: true, writable: true }) }
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true })
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.once('error', reject)
  // Node would make the queue shorter than systemd has made it (Backlog=).
  server.listen({ fd }, BACKLOG, resolve)
  await promise
  server.off('error', reject)
  return { server }
}
