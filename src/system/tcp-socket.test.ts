import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { describe, expect, it } from 'vitest'
import { addressBytes, connectTcp, type TcpAddress, type TcpSocketOptions } from './tcp-socket.ts'

const isRoot = process.getuid?.() === 0

/** What a server that says everything twice says, and where it was asked from. */
async function echo(host: string, options: TcpSocketOptions = {}): Promise<{ text: string; port: number }> {
  let port = 0
  const server = createServer((socket) => {
    port = socket.remotePort ?? 0
    socket.once('data', (chunk) => socket.end(`${chunk}${chunk}`))
  })
  await once(server.listen(0, host), 'listening')
  try {
    const socket = connectTcp({ address: host, port: (server.address() as AddressInfo).port }, options)
    socket.write('a')
    let text = ''
    for await (const chunk of socket) text += chunk
    return { text, port }
  } finally {
    server.close()
  }
}

async function failure(to: TcpAddress): Promise<string> {
  const socket = connectTcp(to)
  socket.resume()
  const [error] = (await once(socket, 'error').catch((thrown: unknown) => [thrown])) as [
    NodeJS.ErrnoException & { cause?: { code: string } },
  ]
  return error.cause?.code ?? error.code ?? ''
}

describe('connectTcp()', () => {
  it.for(['127.0.0.1', '::1'])('connects to %s', async (host) => {
    expect((await echo(host)).text).toBe('aa')
  })

  it.runIf(isRoot).for(['127.0.0.1', '::1'])(
    'connects to %s from a low port, with a mark and by an interface',
    async (host) => {
      const options = { isPortLow: true, mark: 0x7fff_0815, interfaceIndex: 1 }
      const [first, second] = await Promise.all([echo(host, options), echo(host, options)])
      expect(first.text).toBe('aa')
      expect(Math.max(first.port, second.port)).toBeLessThan(1024)
    },
  )

  it('fails as a socket fails where nobody listens or nothing leads', async () => {
    const server = createServer()
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const { port } = server.address() as AddressInfo
    server.close()
    expect(await failure({ address: '127.0.0.1', port })).toBe('ECONNREFUSED')
    expect(await failure({ address: '255.255.255.255', port })).toMatch(/^E(NETUNREACH|ACCES)$/)
  })

  it('refuses an interface that is not there', () => {
    expect(() => connectTcp({ address: '127.0.0.1', port: 1 }, { interfaceIndex: 2_000_000 })).toThrow(
      /Cannot set option/,
    )
  })
})

describe('addressBytes()', () => {
  it.for([
    ['192.0.2.1', 'c0000201'],
    ['::', '0'.repeat(32)],
    ['::1', `${'0'.repeat(31)}1`],
    ['fd00:ec2::254', 'fd000ec2000000000000000000000254'],
    ['1:2:3:4:5:6:7:8', '00010002000300040005000600070008'],
    ['::ffff:192.0.2.1', '00000000000000000000ffffc0000201'],
    ['fe80::', `fe80${'0'.repeat(28)}`],
  ] as const)('reads %s', ([text, hex]) => {
    expect(Buffer.from(addressBytes(text)).toString('hex')).toBe(hex)
  })
})
