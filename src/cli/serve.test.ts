import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect, it } from 'vitest'
import { runUnchecked } from '../system/index.ts'

const MAIN = join(import.meta.dirname, 'main.ts')

it('serve gives a directory over HTTP, with the faults that it is told, until it is interrupted', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'bootwright-serve-'))
  await writeFile(join(directory, 'file'), '0123456789')
  const args = [MAIN, 'serve', directory, '--json', '--fault', '/file status 503 times 1']
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  try {
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    const next = async () => JSON.parse((await lines.next()).value ?? 'null')
    const { url } = await next()
    expect((await fetch(`${url}/file`)).status).toBe(503)
    expect(await next()).toMatchObject({ path: '/file', status: 503, fault: 'status' })
    const part = await fetch(`${url}/file`, { headers: { range: 'bytes=8-' } })
    expect([part.status, await part.text()]).toEqual([206, '89'])
    expect(await next()).toMatchObject({ status: 206, range: 'bytes=8-' })
    child.kill('SIGINT')
    expect(await once(child, 'exit')).toEqual([0, null])
  } finally {
    child.kill('SIGKILL')
    await rm(directory, { recursive: true })
  }
})

it.for([
  [['/nothing/there'], 2, 'There is no directory /nothing/there'],
  [['/', '--fault', '/x explode'], 2, 'names no fault "explode"'],
  [['/', '--port', '70000'], 2, 'from 0 to 65535'],
] as const)('serve refuses %j', async ([args, status, message]) => {
  const { exitCode, stderr } = await runUnchecked({ argv: [process.execPath, MAIN, 'serve', ...args] })
  expect(exitCode).toBe(status)
  expect(stderr).toContain(message)
})
