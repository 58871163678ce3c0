import { describe, expect, it } from 'vitest'
import { answered } from './answered.ts'

const never = () => new Promise<never>(() => {})

describe('answered()', () => {
  it('gives the answer, or its failure', async () => {
    expect(await answered('it', Promise.resolve('yes'), {})).toBe('yes')
    await expect(answered('it', Promise.reject(new Error('no')), {})).rejects.toThrow('no')
  })

  it('rejects for a guest that says nothing', async () => {
    await expect(answered('for its journal', never(), { idleMs: 20 })).rejects.toMatchObject({
      code: 'GUEST_SILENT',
      family: 'guest',
      message: expect.stringContaining('for its journal'),
    })
  })

  it('rejects with the reason of its signal, before and during the wait', async () => {
    const reason = new Error('enough')
    await expect(answered('it', never(), { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    const abort = new AbortController()
    const waiting = answered('it', never(), { signal: abort.signal })
    abort.abort(reason)
    await expect(waiting).rejects.toBe(reason)
  })
})
