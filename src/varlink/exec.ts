import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Duplex } from 'node:stream'
import { BootwrightError, type Command } from '../system/index.ts'
import { type VarlinkConnection, varlinkConnection } from './client.ts'

/** How long a service may take to end when its connection has. */
const END_MS = 5_000

/**
 * Starts a service of its own and connects to it, as `exec:` of varlinkctl does: the connection is its descriptor 3, which
 * `LISTEN_FDS` tells it. Leaving the scope ends the connection and the service.
 */
export async function spawnVarlink({ argv, env, cwd }: Omit<Command, 'name'>): Promise<VarlinkConnection> {
  // Only the shell knows the process id that the service has to find in its environment.
  const child = spawn('sh', ['-c', 'LISTEN_PID=$$; export LISTEN_PID; exec "$@"', 'sh', ...argv], {
    stdio: ['ignore', 'ignore', 'inherit', 'pipe'],
    env: { ...process.env, ...env, LISTEN_FDS: '1', LISTEN_FDNAMES: 'varlink' },
    ...(cwd === undefined ? {} : { cwd }),
  })
  const exited = once(child, 'exit')
  await once(child, 'spawn').catch((cause: unknown) => {
    throw new BootwrightError('TOOL_MISSING', `Cannot start ${argv[0]}`, { cause })
  })
  const connection = varlinkConnection(child.stdio[3] as Duplex)
  const close = connection[Symbol.asyncDispose].bind(connection)
  connection[Symbol.asyncDispose] = async () => {
    await close()
    const timer = setTimeout(() => child.kill('SIGKILL'), END_MS)
    await exited
    clearTimeout(timer)
  }
  return connection
}
