import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { expect, it } from 'vitest'
import { descriptorOf, isListeningSocket, peerUid } from './libc.ts'

it('isListeningSocket() and peerUid() tell a socket that listens from one that is connected, and by whom', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'bootwright-libc-'))
  const server = createServer()
  try {
    server.listen(join(directory, 'socket'))
    await once(server, 'listening')
    const client = connect(join(directory, 'socket'))
    const [accepted] = (await once(server, 'connection')) as [Socket]
    const listening = (server as unknown as { _handle: { fd: number } })._handle.fd
    expect([listening, descriptorOf(client), descriptorOf(accepted)].map(isListeningSocket)).toEqual([
      true,
      false,
      false,
    ])
    expect([descriptorOf(client), descriptorOf(accepted)].map(peerUid)).toEqual([
      process.getuid?.(),
      process.getuid?.(),
    ])
    for (const socket of [client, accepted]) socket.destroy()
    expect(descriptorOf(client)).toBe(-1)
  } finally {
    server.close()
    await rm(directory, { recursive: true })
  }
})

it('peerUid() rejects what is no socket, with the reason', () => {
  expect(descriptorOf(new PassThrough())).toBe(-1)
  expect(() => peerUid(-1)).toThrow(
    expect.objectContaining({ code: 'HOST_UNSUITABLE', message: expect.stringContaining('EBADF') }),
  )
})
