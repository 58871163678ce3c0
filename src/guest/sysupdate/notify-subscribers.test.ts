import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { notifySubscribers } from './notify-subscribers.ts'

let directory: string
let servers: Server[]
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'bootwright-notify-'))
  servers = []
})
afterEach(() => {
  for (const server of servers) server.close()
  rmSync(directory, { recursive: true })
})

/** Takes one call, and answers it so. */
async function subscriber(name: string, answer: string): Promise<string[]> {
  const calls: string[] = []
  const server = createServer((socket) => {
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk.toString()
      if (!text.endsWith('\0')) return
      calls.push(text.slice(0, -1))
      socket.end(`${answer}\0`)
    })
  })
  servers.push(server)
  await new Promise<void>((resolve) => void server.listen(join(directory, name), resolve))
  return calls
}

it('tells everybody who listens, and only warns of those who fail', async () => {
  const good = await subscriber('one', '{"parameters":{}}')
  const bad = await subscriber('two', '{"error":"org.example.No","parameters":{}}')
  const hidden = await subscriber('.three', '{"parameters":{}}')
  writeFileSync(join(directory, 'file'), '')
  const warnings: string[] = []
  const resources = [{ transfer: '10-x', path: '/dst/x_2' }]
  await notifySubscribers(undefined, '2', resources, (text) => void warnings.push(text), directory)
  const call = {
    method: 'io.systemd.SysUpdate.Notify.OnCompletedUpdate',
    parameters: { version: '2', resources },
  }
  expect(good.map((text) => JSON.parse(text))).toEqual([call])
  expect(bad).toHaveLength(1)
  expect(hidden).toEqual([])
  expect(warnings).toEqual([expect.stringMatching(/two' returned error, ignoring: .*org\.example\.No/)])
})

it('is content with nobody', async () => {
  const warnings: string[] = []
  await notifySubscribers('part', '2', [], (text) => void warnings.push(text), join(directory, 'none'))
  expect(warnings).toEqual([])
})
