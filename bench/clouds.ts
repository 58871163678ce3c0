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
/** What is asked for, over and over; a token is asked for once. */
const REQUESTS: Readonly<Record<string, (port: number) => Promise<string> | string>> = {
  plain: () => get('/'),
  aws: async (port) => get('/latest/meta-data/instance-id', `X-aws-ec2-metadata-token: ${await awsToken(port)}\r\n`),
  google: () => get('/computeMetadata/v1/instance/id', 'Metadata-Flavor: Google\r\n'),
  hetzner: () => get('/hetzner/v1/metadata/instance-id'),
}

function get(path: string, headers = ''): string {
  return `GET ${path} HTTP/1.1\r\nHost: a\r\n${headers}\r\n`
}

async function awsToken(port: number): Promise<string> {
  const headers = { 'X-aws-ec2-metadata-token-ttl-seconds': '21600' }
  const response = await fetch(`http://127.0.0.1:${port}/latest/api/token`, { method: 'PUT', headers })
  return response.text()
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

async function measured(name: string, request: (port: number) => Promise<string> | string): Promise<number> {
  const server = spawn(
    'taskset',
    ['--cpu-list', '0', process.execPath, join(import.meta.dirname, 'support/metadata-server.ts'), name],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  try {
    const port = await portOf(server)
    const sockets = await Promise.all(Array.from({ length: CONNECTIONS }, () => connected(port)))
    let answers = 0
    const bytes = Buffer.from(await request(port))
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
