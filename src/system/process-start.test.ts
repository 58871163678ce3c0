import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { processStart } from './process-start.ts'

describe('processStart()', () => {
  it('tells one process from the next, and what has ended from both', async () => {
    const child = spawn('cat', { stdio: ['pipe', 'ignore', 'ignore'] })
    await once(child, 'spawn')
    const started = processStart(child.pid ?? 0)
    expect(Number(started)).toBeGreaterThan(Number(processStart(process.pid)))
    expect(processStart(child.pid ?? 0)).toBe(started)
    child.stdin.end()
    await once(child, 'exit')
    expect(processStart(child.pid ?? 0)).toBeUndefined()
  })
})
