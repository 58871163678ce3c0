import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { lockFile, tryLockFile } from './lock.ts'

let directory: string

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bootwright-test-'))
})

afterAll(async () => {
  await rm(directory, { recursive: true, force: true })
})

describe('lockFile()', () => {
  it('lets one holder in at a time and tells the other that it waits', async () => {
    const file = join(directory, 'one')
    const first = await lockFile(file)
    const order: string[] = []
    const second = lockFile(file, { onWait: () => order.push('waits') }).then(async (lock) => {
      order.push('second')
      await lock[Symbol.asyncDispose]()
    })
    while (order.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    order.push('first leaves')
    await first[Symbol.asyncDispose]()
    await second
    expect(order).toEqual(['waits', 'first leaves', 'second'])
  })

  it('is free again after its holder was killed', async () => {
    const file = join(directory, 'killed')
    const program = `const { lockFile } = await import('${import.meta.dirname}/lock.ts')
      await lockFile(${JSON.stringify(file)}); console.log('held'); setInterval(() => {}, 1000)`
    const holder = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await once(holder.stdout, 'data')
    expect(await tryLockFile(file)).toBeUndefined()
    holder.kill('SIGKILL')
    await using lock = await lockFile(file)
    expect(lock).toBeDefined()
  })

  it('stops waiting when it is aborted', async () => {
    const file = join(directory, 'aborted')
    await using _held = await lockFile(file)
    const abort = new AbortController()
    const waiting = lockFile(file, { signal: abort.signal, onWait: () => abort.abort(new Error('enough')) })
    await expect(waiting).rejects.toThrow('enough')
  })

  it('rejects with what flock says when the file cannot be locked', async () => {
    await expect(lockFile('/proc/nothing')).rejects.toMatchObject({
      code: 'TOOL_FAILED',
      message: expect.stringContaining('/proc/nothing'),
    })
  })
})
