import { once } from 'node:events'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { expect, it } from 'vitest'
import { dataRanges, descriptorOf, isListeningSocket, peerUid } from './libc.ts'
import { run } from './process.ts'

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

it('dataRanges() tells what of a sparse file is data, and why not', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'bootwright-libc-'))
  try {
    await using file = await open(join(directory, 'sparse'), 'w+')
    const [MIB, size] = [1024 * 1024, 5 * 1024 * 1024]
    await file.truncate(size)
    expect([...dataRanges(file.fd, size)]).toEqual([])
    await file.write(Buffer.alloc(MIB, 1), 0, MIB, MIB)
    await file.write(Buffer.alloc(MIB, 1), 0, MIB, 4 * MIB)
    await file.sync()
    expect([...dataRanges(file.fd, size)]).toEqual([
      { start: MIB, end: 2 * MIB },
      { start: 4 * MIB, end: 5 * MIB },
    ])
    expect([...dataRanges(file.fd, MIB + 1)]).toEqual([{ start: MIB, end: MIB + 1 }])
    expect(() => [...dataRanges(-1, size)]).toThrow(
      expect.objectContaining({ message: expect.stringContaining('EBADF') }),
    )
  } finally {
    await rm(directory, { recursive: true })
  }
})

it('loads what calls the C library without a warning of Node', async () => {
  const program = `
    import { peerUid } from ${JSON.stringify(join(import.meta.dirname, 'libc.ts'))}
    try { peerUid(-1) } catch (error) { console.log(error.message) }
    process.emitWarning('of somebody else')`
  const { stdout, stderr } = await run({ argv: [process.execPath, '--input-type=module', '--eval', program] })
  expect(stdout).toContain('EBADF')
  expect(stderr).toContain('of somebody else')
  expect(stderr).not.toContain('FFI')
})
