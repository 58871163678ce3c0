import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'

/** One request as it came over the wire. */
export interface WireRequest {
  /** Its first line, without the version. */
  readonly line: string
  /** In their order. */
  readonly headers: readonly string[]
  /** Whether it came from a port below 1024. */
  readonly isPortLow: boolean
}

/** Bytes to answer with before the connection ends; undefined ends it without an answer, `silence` leaves it open. */
export type ScriptedAnswer = string | Uint8Array | undefined | 'silence'

/** An endpoint that gives the same answers in the same order, whatever it is asked. */
export interface ScriptedEndpoint extends AsyncDisposable {
  readonly url: string
  readonly requests: readonly WireRequest[]
  /** The next answers; or the answer to a request, by its first line. */
  answers: ScriptedAnswer[] | ((line: string) => ScriptedAnswer)
  /** Forgets the requests. */
  clear(): void
}

export function ok(body: string | Uint8Array): Buffer {
  return answer(200, body)
}

export function answer(status: number, body: string | Uint8Array = '', headers = ''): Buffer {
  const bytes = Buffer.from(body)
  return Buffer.concat([
    Buffer.from(`HTTP/1.1 ${status} Status\r\n${headers}Connection: close\r\nContent-Length: ${bytes.length}\r\n\r\n`),
    bytes,
  ])
}

/** For tests: an endpoint on a port of loopback, or a server that listens already; the last answer is given again and again. */
export async function scriptedEndpoint(
  answers: ScriptedEndpoint['answers'] = [],
  at?: Server,
): Promise<ScriptedEndpoint> {
  const requests: WireRequest[] = []
  const sockets = new Set<Socket>()
  const server = at ?? createServer()
  const self = {
    url: '',
    requests,
    answers,
    clear: () => void requests.splice(0),
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket))
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
      if (!text.includes('\r\n\r\n')) return
      const [line = '', ...headers] = text.trimEnd().split('\r\n')
      requests.push({ line: line.replace(' HTTP/1.1', ''), headers, isPortLow: Number(socket.remotePort) < 1024 })
      text = ''
      const next = nextAnswer(self.answers, requests.at(-1)?.line ?? '')
      if (next === undefined) socket.destroy()
      else if (next !== 'silence') socket.end(next)
    })
    socket.resume()
  })
  if (at === undefined) await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  self.url = `http://127.0.0.1:${port}`
  return self
}

function nextAnswer(answers: ScriptedEndpoint['answers'], line: string): ScriptedAnswer {
  if (typeof answers === 'function') return answers(line)
  return answers.length > 1 ? answers.shift() : answers[0]
}
