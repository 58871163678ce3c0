import { setTimeout as sleep } from 'node:timers/promises'
import {
  openPassed,
  type PassedDescriptor,
  serveConnection,
  serveVarlink,
  type VarlinkServer,
  type VarlinkService,
} from '../../varlink/index.ts'

/** A broker that nobody talks to ends: its socket starts another one. */
const IDLE_MS = 30_000
const LOOK_MS = 1_000

/** Serves connections and listening sockets that were passed, until the connections are over and nobody has come for a while. */
export async function serveSockets(
  descriptors: readonly PassedDescriptor[],
  service: VarlinkService,
  log: (line: string) => void,
  signal?: AbortSignal,
  idleMs = IDLE_MS,
): Promise<void> {
  const onProblem = (problem: Error): void => log(problem.message)
  const connections: Promise<void>[] = []
  const servers: VarlinkServer[] = []
  for (const descriptor of descriptors) {
    const passed = await openPassed(descriptor)
    if ('server' in passed) servers.push(await serveVarlink(service, passed.server, { onProblem }))
    else connections.push(serveConnection(service, passed.connection, { onProblem, signal }))
  }
  await Promise.all(connections)
  let idle = 0
  while (servers.length > 0 && idle < idleMs && signal?.aborted !== true) {
    await sleep(Math.min(LOOK_MS, idleMs))
    const isBusy = servers.some((server) => server.connections > 0)
    idle = isBusy ? 0 : idle + LOOK_MS
  }
  for (const server of servers) await server[Symbol.asyncDispose]()
}
