import { once } from 'node:events'
import { BlockList, createServer, isIP, type Server } from 'node:net'
import { BootwrightError } from '../system/index.ts'
import type { MetadataEndpoint } from './provider.ts'

/** A place on loopback to listen at; port 0 takes any free one. */
export interface ListenTarget {
  readonly host: string
  readonly port: number
  /** Name of the endpoint that answers there; the provider's first when absent. */
  readonly endpoint?: string
}

/**
 * Where a service takes connections from: loopback, or a server that already listens, made where the provider's real
 * address exists (a network namespace) and handed over. The service owns a server from then on and closes it.
 */
export type Listener = Server | ListenTarget

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8)
loopback.addAddress('::1', 'ipv6')

export function isTarget(listener: Listener): listener is ListenTarget {
  return 'host' in listener
}

/** Refuses what is not loopback: on this side of a namespace, any other address could be reached by strangers. */
export function checkTarget(target: ListenTarget, endpoints: readonly MetadataEndpoint[]): void {
  const family = isIP(target.host)
  if (family === 0 || !loopback.check(target.host, family === 6 ? 'ipv6' : 'ipv4')) {
    throw new BootwrightError('INVALID_ARGUMENT', `A metadata service listens on loopback, found "${target.host}"`, {
      hint: 'For a real address, make the listening server in a network namespace and hand it over.',
    })
  }
  if (target.endpoint !== undefined && !endpoints.some(({ name }) => name === target.endpoint)) {
    const names = endpoints.map(({ name }) => name).join(', ')
    throw new BootwrightError('UNKNOWN_NAME', `There is no endpoint "${target.endpoint}"; there are: ${names}`)
  }
}

/** A server on loopback; rejects with `HOST_UNSUITABLE` when the address is taken or not there. */
export async function listenOn(target: ListenTarget): Promise<Server> {
  const server = createServer()
  try {
    const listening = once(server, 'listening')
    server.listen({ host: target.host, port: target.port })
    await listening
    return server
  } catch (cause) {
    throw new BootwrightError('HOST_UNSUITABLE', `Cannot listen on ${target.host} port ${target.port}`, {
      cause,
      hint: 'Use port 0 for any free port.',
    })
  }
}

/** Closes a server and waits until its socket is gone; one that is closed already is fine. */
export async function closeServer(server: Server): Promise<void> {
  if (!server.listening) return
  await new Promise<void>((resolve) => {
    server.close(() => resolve())
  })
}
