import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { storeCredential } from './credential-store.ts'

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'imds-store-'))
})
afterEach(() => rmSync(root, { recursive: true }))

describe('storeCredential()', () => {
  it('leaves it for its owner alone, and nothing else', () => {
    const store = join(root, 'run', 'credstore')
    expect(storeCredential(store, 'a', Buffer.from('t'))).toBe(true)
    expect(readFileSync(join(store, 'a'), 'utf8')).toBe('t')
    expect(statSync(join(store, 'a')).mode & 0o777).toBe(0o400)
    expect(statSync(store).mode & 0o777).toBe(0o700)
    expect(readdirSync(store)).toEqual(['a'])
  })

  it('replaces nothing, not even a link that leads nowhere', () => {
    writeFileSync(join(root, 'a'), 'first')
    symlinkSync(join(root, 'nowhere'), join(root, 'b'))
    expect(storeCredential(root, 'a', Buffer.from('t'))).toBe(false)
    expect(storeCredential(root, 'b', Buffer.from('t'))).toBe(false)
    expect(readFileSync(join(root, 'a'), 'utf8')).toBe('first')
    expect(readdirSync(root).sort()).toEqual(['a', 'b'])
  })
})
