import { describe, expect, it } from 'vitest'
import { awsInstance } from './aws/instance.ts'
import { LiveInstance } from './instance.ts'

describe('LiveInstance', () => {
  it('changes by replacing, so that a state once taken stays', () => {
    const live = new LiveInstance(awsInstance())
    const before = live.current
    live.update({ hostname: 'renamed.example' })
    expect(live.current).toEqual({ ...before, hostname: 'renamed.example' })
    expect(before.hostname).not.toBe('renamed.example')
  })

  it('tells everyone who waits of the next change, once', async () => {
    const live = new LiveInstance(awsInstance())
    const heard: string[] = []
    const { signal } = new AbortController()
    const waits = ['a', 'b'].map((name) => live.changed(signal).then(() => heard.push(name)))
    expect(heard).toEqual([])
    live.update({ tokenGeneration: 1 })
    await Promise.all(waits)
    live.update({ tokenGeneration: 2 })
    expect(heard).toEqual(['a', 'b'])
  })

  it('stops waiting when the signal aborts', async () => {
    const abort = new AbortController()
    const live = new LiveInstance(awsInstance())
    const wait = live.changed(abort.signal)
    abort.abort()
    await expect(wait).resolves.toBeUndefined()
    await expect(live.changed(abort.signal)).resolves.toBeUndefined()
  })

  it('never becomes an instance of another cloud', () => {
    const live = new LiveInstance(awsInstance())
    expect(() => live.replace({ ...awsInstance(), cloud: 'other' })).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
    )
    expect(live.current.cloud).toBe('aws')
  })
})
