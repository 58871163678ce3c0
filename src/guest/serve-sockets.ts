import { setTimeout as sleep } from 'node:timers/promises'
import {
  openPassed,
  type PassedDescriptor,
  serveConnection,
  serveVarlink,
  type VarlinkServer,
  type VarlinkService,
} from '../varlink/index.ts'

/** A broker that nobody talks to ends: its socket starts another one. */
const IDLE_MS = 30_000
const LOOK_MS = 1_000

export interface ServeOptions {
  readonly log: (line: string) => void
  readonly signal?: AbortSignal | undefined
  /** Called each time when the last client of the listening sockets has gone. */
  readonly atRest?: (() => void) | undefined
  readonly idleMs?: number
  readonly lookMs?: number
}

/** Serves connections and listening sockets that were passed, until the connections are over and nobody has come for a while. */
export async function serveSockets(
  descriptors: readonly PassedDescriptor[],
  service: VarlinkService,
  options: ServeOptions,
): Promise<void> {
  const { log, signal } = options
  const onProblem = (problem: Error): void => log(problem.message)
  const connections: Promise<void>[] = []
  const servers: VarlinkServer[] = []
  for (const descriptor of descriptors) {
    const passed = await openPassed(descriptor)
    if ('server' in passed) servers.push(await serveVarlink(service, passed.server, { onProblem }))
    else connections.push(serveConnection(service, passed.connection, { onProblem, signal }))
  }
  await Promise.all(connections)
  if (servers.length > 0) await untilIdle(() => servers.some((server) => server.connections > 0), options)
  for (const server of servers) await server[Symbol.asyncDispose]()
}

/** Looks now and then whether there are clients, until there were none for `idleMs`. */
export async function untilIdle(
  isBusy: () => boolean,
  { signal, atRest, idleMs = IDLE_MS, lookMs = LOOK_MS }: Omit<ServeOptions, 'log'>,
): Promise<void> {
  let idle = 0
  while (idle < idleMs && signal?.aborted !== true) {
    await sleep(lookMs)
    const isResting = !isBusy()
    // So it is after the first look too: for nobody, no socket starts this program.
    if (isResting && idle === 0) atRest?.()
    idle = isResting ? idle + lookMs : 0
  }
}
