import { mkdtempSync, readFileSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { FileMemory } from './file-memory.ts'

let directory: string
let path: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'file-memory-'))
  path = join(directory, 'file')
  writeFileSync(path, 'one')
})
afterEach(() => rmSync(directory, { recursive: true }))

describe('FileMemory', () => {
  it('reads a file once while it stays the same', () => {
    const [memory, load] = [new FileMemory<string>(), vi.fn(() => readFileSync(path, 'utf8'))]
    expect([1, 2, 3].map(() => memory.read(path, load))).toEqual(['one', 'one', 'one'])
    expect(load).toHaveBeenCalledTimes(1)
  })

  it('reads what has come in its place, and nothing where it has gone', async () => {
    const [memory, load] = [new FileMemory<string>(), () => readFileSync(path, 'utf8')]
    expect(memory.read(path, load)).toBe('one')
    writeFileSync(join(directory, 'other'), 'two')
    renameSync(join(directory, 'other'), path)
    await nextTurn()
    expect(memory.read(path, load)).toBe('two')
    unlinkSync(path)
    await nextTurn()
    expect(memory.read(path, load)).toBeUndefined()
  })

  it('looks once for what comes together, but again for who has changed the file', () => {
    const [memory, load] = [new FileMemory<string>(), () => readFileSync(path, 'utf8')]
    expect(memory.read(path, load)).toBe('one')
    writeFileSync(join(directory, 'other'), 'two')
    renameSync(join(directory, 'other'), path)
    expect(memory.read(path, load)).toBe('one')
    memory.forget(path)
    expect(memory.read(path, load)).toBe('two')
  })

  it('keeps nothing of what load makes nothing of, and nothing of a path through a file', () => {
    const [memory, load] = [new FileMemory<string>(), vi.fn(() => undefined)]
    expect([1, 2].map(() => memory.read(path, load))).toEqual([undefined, undefined])
    expect(load).toHaveBeenCalledTimes(2)
    expect(memory.read(join(path, 'below'), load)).toBeUndefined()
    expect(load).toHaveBeenCalledTimes(2)
  })

  it('does not grow without end', () => {
    const [memory, load] = [new FileMemory<string>(), vi.fn(() => 'x')]
    for (let count = 0; count < 1100; count++) {
      const one = join(directory, String(count))
      writeFileSync(one, '')
      memory.read(one, load)
    }
    memory.read(join(directory, '1099'), load)
    expect(load).toHaveBeenCalledTimes(1100)
    memory.read(join(directory, '0'), load)
    expect(load).toHaveBeenCalledTimes(1101)
  })
})
