/**
 * Requests per second that one core answers: some of the fake metadata services, each in a process that has a core to itself,
 * beside a server of Node that knows a single answer. The client keeps its connections, and has the other core.
 *
 * Usage: node bench/clouds.ts [rounds]
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { keepResult, median } from './support/rounds.ts'

const ROUNDS = Number(process.argv[2] ?? 3)
const CONNECTIONS = 32
const SECONDS = 3
const GOAL = 10_000
const REQUESTS: Readonly<Record<string, string>> = {
  plain: 'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
  aws: 'GET /latest/meta-data/instance-id HTTP/1.1\r\nHost: a\r\n\r\n',
  google: 'GET /computeMetadata/v1/instance/id HTTP/1.1\r\nHost: a\r\nMetadata-Flavor: Google\r\n\r\n',
  hetzner: 'GET /hetzner/v1/metadata/instance-id HTTP/1.1\r\nHost: a\r\n\r\n',
}

const perSecond = new Map<string, number[]>(Object.keys(REQUESTS).map((name) => [name, []]))
for (let round = 1; round <= ROUNDS; round++) {
  for (const [name, request] of Object.entries(REQUESTS)) {
    const rate = await measured(name, request)
    perSecond.get(name)?.push(rate)
    process.stderr.write(`round ${round} of ${ROUNDS}: ${name} ${rate.toFixed(0)} requests/s\n`)
  }
}
const rows = [...perSecond].map(([name, rates]) => ({ name, perSecond: rates, median: median(rates) }))
for (const { name, median: rate } of rows) {
  const verdict = name === 'plain' ? '      ' : rate >= GOAL ? 'met   ' : 'MISSED'
  process.stdout.write(
    `${verdict} ${name}: ${rate.toFixed(0)} requests/s${name === 'plain' ? '' : ` (goal: ${GOAL})`}\n`,
  )
}
await keepResult('clouds', { connections: CONNECTIONS, goal: GOAL, rows })

async function measured(name: string, request: string): Promise<number> {
  const server = spawn(
    'taskset',
    ['--cpu-list', '0', process.execPath, join(import.meta.dirname, 'support/metadata-server.ts'), name],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  try {
    const port = await portOf(server)
    const sockets = await Promise.all(Array.from({ length: CONNECTIONS }, () => connected(port)))
    let answers = 0
    const bytes = Buffer.from(request)
    for (const socket of sockets) {
      socket.on('data', (chunk: Buffer) => {
        if (!chunk.includes('HTTP/1.1 200')) throw new Error(`${name} refuses: ${chunk}`)
        answers++
        socket.write(bytes)
      })
      socket.write(bytes)
    }
    // The compiler has its say first.
    await sleep(1_000)
    const [before, begun] = [answers, performance.now()]
    await sleep(1_000 * SECONDS)
    const rate = (answers - before) / ((performance.now() - begun) / 1_000)
    for (const socket of sockets) socket.destroy()
    return rate
  } finally {
    server.kill()
    await once(server, 'close')
  }
}

async function portOf(server: ChildProcess): Promise<number> {
  const [chunk] = (await once(server.stdout ?? server, 'data')) as [Buffer]
  return Number(chunk.toString())
}

async function connected(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  return socket
}
