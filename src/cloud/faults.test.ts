import { describe, expect, it } from 'vitest'
import { FaultPlan, type FaultRule } from './faults.ts'

const silence = { kind: 'silence' } as const

describe('FaultPlan', () => {
  it.for([
    ['/latest/meta-data/*', '/latest/meta-data/hostname', true],
    ['/latest/meta-data/*', '/latest/meta-data/placement/region', false],
    ['/latest/**', '/latest/meta-data/placement/region', true],
    ['**', '/anything', true],
    ['/latest/user-data', '/latest/user-data', true],
    ['/latest/user-data', '/latest/user-data2', false],
    ['/latest/user-data', '/x/latest/user-data', false],
    ['/v1.json', '/v1xjson', false],
    ['/*/meta-data/**', '/2009-04-04/meta-data/a/b', true],
  ] as const)('pattern %s on %s: %s', ([path, asked, isHit]) => {
    expect(new FaultPlan([{ path, fault: silence }]).take('GET', asked, 0)).toEqual(isHit ? [silence] : [])
  })

  it('lets the first through, strikes so many times, then stops', () => {
    const plan = new FaultPlan([{ path: '/a', after: 1, times: 2, fault: silence }])
    expect([1, 2, 3, 4].map(() => plan.take('GET', '/a', 0).length)).toEqual([0, 1, 1, 0])
  })

  it('does not count what does not match', () => {
    const plan = new FaultPlan([{ path: '/a', method: 'PUT', times: 1, fault: silence }])
    expect(plan.take('GET', '/a', 0)).toEqual([])
    expect(plan.take('PUT', '/b', 0)).toEqual([])
    expect(plan.take('PUT', '/a', 0)).toEqual([silence])
    expect(plan.take('PUT', '/a', 0)).toEqual([])
  })

  it('joins latency with the next fault, and stops at the first other', () => {
    const latency = { kind: 'latency', delayMs: 5 } as const
    const reset = { kind: 'reset' } as const
    const plan = new FaultPlan([latency, silence, reset].map((fault) => ({ path: '**', fault })))
    expect(plan.take('GET', '/', 0)).toEqual([latency, silence])
  })

  it('limits the rate: as many in a window as it says, and again when the first is old enough', () => {
    const plan = new FaultPlan([{ path: '/a', beyond: { requests: 2, seconds: 1 }, fault: silence }])
    const struck = [0, 400, 500, 999, 1000, 1001, 1400, 1401].map((at) => plan.take('GET', '/a', at).length)
    expect(struck).toEqual([0, 0, 1, 1, 0, 1, 0, 1])
    expect(plan.take('GET', '/b', 1401)).toEqual([])
  })

  it('counts for after and times only what is beyond the limit', () => {
    const rule = { path: '/a', after: 1, times: 1, beyond: { requests: 1, seconds: 1 }, fault: silence }
    const plan = new FaultPlan([rule])
    expect([0, 0, 0, 0].map((at) => plan.take('GET', '/a', at).length)).toEqual([0, 0, 1, 0])
  })

  it('takes a rule away when its scope ends', () => {
    const plan = new FaultPlan()
    {
      using _rule = plan.add({ path: '/a', fault: silence })
      expect(plan.take('GET', '/a', 0)).toEqual([silence])
    }
    expect(plan.take('GET', '/a', 0)).toEqual([])
  })

  it.for([
    { path: 'latest', fault: silence },
    { path: '/', times: 0, fault: silence },
    { path: '/', after: -1, fault: silence },
    { path: '/', beyond: { requests: -1, seconds: 1 }, fault: silence },
    { path: '/', beyond: { requests: 1.5, seconds: 1 }, fault: silence },
    { path: '/', beyond: { requests: 1, seconds: 0 }, fault: silence },
    { path: '/', beyond: { requests: 1, seconds: Number.NaN }, fault: silence },
    { path: '/', fault: { kind: 'status', status: 199 } },
    { path: '/', fault: { kind: 'status', status: 200.5 } },
    { path: '/', fault: { kind: 'status', status: 429, headers: [['Retry After', '7']] } },
    { path: '/', fault: { kind: 'moved', location: '/a\r\nX: y' } },
    { path: '/', fault: { kind: 'moved', location: '' } },
    { path: '/', fault: { kind: 'slow-body', bytesPerSecond: 0 } },
    { path: '/', fault: { kind: 'endless-body', piece: '' } },
    { path: '/', fault: { kind: 'wrong-clock', offsetSeconds: Number.NaN } },
    { path: '/', fault: { kind: 'wrong-clock', offsetSeconds: 1e12 } },
    { path: '/', fault: { kind: 'latency', delayMs: -1 } },
    { path: '/', fault: { kind: 'latency', delayMs: Number.NaN } },
  ] satisfies FaultRule[])('refuses %j', (rule) => {
    expect(() => new FaultPlan([rule])).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
  })
})
