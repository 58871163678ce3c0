import { describe, expect, it } from 'vitest'
import { blkdebugRules, type DiskFault, stopRules } from './disk-fault.ts'

describe('blkdebugRules()', () => {
  it('fails all reads', () => {
    expect(blkdebugRules({ kind: 'read-error' })).toEqual({
      'inject-error': [{ event: 'none', iotype: 'read', errno: 5 }],
      'set-state': [],
    })
  })

  it('fails each torn sector', () => {
    expect(blkdebugRules({ kind: 'torn-sectors', sectors: [7, 9] })['inject-error']).toEqual([
      { event: 'none', iotype: 'read', errno: 5, sector: 7 },
      { event: 'none', iotype: 'read', errno: 5, sector: 9 },
    ])
  })

  it('counts, and then fails so many', () => {
    const rules = blkdebugRules({ kind: 'flush-error', after: 2, times: 3 })
    expect(rules['set-state']).toEqual([
      { event: 'flush_to_disk', state: 1, new_state: 2 },
      { event: 'flush_to_disk', state: 2, new_state: 3 },
    ])
    expect(rules['inject-error']).toEqual(
      Array(3).fill({ event: 'flush_to_disk', state: 3, iotype: 'flush', errno: 5, once: true }),
    )
  })

  it('has no room for anything that is written', () => {
    expect(blkdebugRules({ kind: 'host-full' })['inject-error'].map(({ iotype, errno }) => [iotype, errno])).toEqual([
      ['write', 28],
      ['write-zeroes', 28],
    ])
  })

  it.for([
    { kind: 'read-error', sectors: [-1] },
    { kind: 'read-error', sectors: [1.5] },
    { kind: 'torn-sectors', sectors: [] },
    { kind: 'write-error', after: -1 },
    { kind: 'write-error', times: 0 },
    { kind: 'write-error', after: 20_000 },
  ] satisfies DiskFault[])('refuses %j', (fault) => {
    expect(() => blkdebugRules(fault)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
  })
})

describe('stopRules()', () => {
  it('lets n - 1 through and nothing from there on', () => {
    const rules = stopRules('flush', 3)
    expect(rules['set-state'].map(({ state, new_state }) => [state, new_state])).toEqual([
      [1, 2],
      [2, 3],
    ])
    expect(rules['inject-error'].map(({ iotype, state }) => [iotype, state])).toEqual([
      ['write', 3],
      ['write-zeroes', 3],
      ['discard', 3],
      ['flush', 3],
    ])
  })

  it.for([0, -1, 1.5, 100_000])('refuses %d', (n) => {
    expect(() => stopRules('write', n)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
  })
})
