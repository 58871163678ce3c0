import { describe, expect, it } from 'vitest'
import { fractionPoint, isInFraction, isMachineId, parseFraction } from './condition-fraction.ts'

/** Measured with `systemd-analyze condition` of systemd 262: machine ID, tag, and the first permyriad that selects it. */
const VECTORS = [
  ['00000000000000000000000000000001', '', 4101399706, 9550],
  ['00000000000000000000000000000001', 'rollout-a', 3697577097, 8610],
  ['00000000000000000000000000000001', 'rollout-b', 194971490, 454],
  ['0123456789abcdef0123456789abcdef', '', 2812187102, 6548],
  ['0123456789abcdef0123456789abcdef', 'rollout-a', 747841375, 1742],
  ['0123456789abcdef0123456789abcdef', 'rollout-b', 282087183, 657],
  ['7c3f1d2e4b5a69788796a5b4c3d2e1f0', '', 2758060734, 6422],
  ['7c3f1d2e4b5a69788796a5b4c3d2e1f0', 'rollout-a', 930506377, 2167],
  ['7c3f1d2e4b5a69788796a5b4c3d2e1f0', 'rollout-b', 2126184866, 4951],
  ['b8f0d5c2a1e94f6c8d7b3a2910fe5c44', '', 1885915772, 4391],
  ['b8f0d5c2a1e94f6c8d7b3a2910fe5c44', 'rollout-a', 3483467548, 8111],
  ['b8f0d5c2a1e94f6c8d7b3a2910fe5c44', 'rollout-b', 2655456587, 6183],
] as const

describe('isInFraction()', () => {
  it.each(VECTORS)('%s, tag "%s"', (machineId, tag, point, first) => {
    expect(fractionPoint(machineId, tag)).toBe(point)
    expect(isInFraction(machineId, { tag, permyriad: first })).toBe(true)
    expect(isInFraction(machineId, { tag, permyriad: first - 1 })).toBe(false)
  })

  it('is never true of nothing, and always of everything', () => {
    expect(isInFraction('00000000000000000000000000000001', { tag: '', permyriad: 0 })).toBe(false)
    expect(isInFraction('00000000000000000000000000000001', { tag: '', permyriad: 10_000 })).toBe(true)
  })
})

describe('parseFraction()', () => {
  it.each([
    ['20%', '', 2000],
    ['20%%', '', 2000],
    ['rollout-a 12.5%', 'rollout-a', 1250],
    ['  a   0.07%  ', 'a', 7],
    ['a 7‰', 'a', 70],
    ['a 7.5‰', 'a', 75],
    ['a 7‱', 'a', 7],
    ['100%', '', 10_000],
    ['0%', '', 0],
  ])('reads "%s"', (value, tag, permyriad) => {
    expect(parseFraction(value)).toEqual({ tag, permyriad })
  })

  it.each(['', '30', 'a b 30%', '150%', '100.01%', '1.234%', '7.55‰', '7.5‱', '-1%', 'a', '%'])(
    'rejects "%s", as systemd cannot determine a result',
    (value) => {
      expect(() => parseFraction(value)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
    },
  )
})

it('isMachineId() knows machine IDs', () => {
  expect(isMachineId('0123456789abcdef0123456789abcdef')).toBe(true)
  for (const text of ['', '0'.repeat(32), '0123456789ABCDEF0123456789ABCDEF', '0123456789abcdef0123456789abcde']) {
    expect(isMachineId(text)).toBe(false)
  }
})
