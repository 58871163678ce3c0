import { expect, it } from 'vitest'
import { parseServeFault, ServeFaults } from './serve-faults.ts'

it.for<[string, unknown]>([
  ['/*.raw truncate 1000 times 2', { path: '/*.raw', times: 2, fault: { kind: 'truncate', bytes: 1000 } }],
  ['/** stall', { path: '/**', fault: { kind: 'stall', bytes: 0 } }],
  ['/a slow 30', { path: '/a', fault: { kind: 'slow', bytesPerSecond: 30 } }],
  ['/a status', { path: '/a', fault: { kind: 'status', status: 503 } }],
  ['  /a   redirect  http://host/b ', { path: '/a', fault: { kind: 'redirect', location: 'http://host/b' } }],
  ['/a endless', { path: '/a', fault: { kind: 'endless' } }],
  ['/a corrupt 7', { path: '/a', fault: { kind: 'corrupt', bytes: 7 } }],
])('parseServeFault() reads "%s"', ([text, rule]) => {
  expect(parseServeFault(text)).toEqual(rule)
})

it.for([
  ['', 'begins with no path'],
  ['truncate 5', 'begins with no path'],
  ['/a', 'names no fault ""'],
  ['/a explode', 'names no fault "explode"'],
  ['/a toString', 'names no fault "toString"'],
  ['/a truncate x', 'no whole number for truncate'],
  ['/a truncate 1 2', 'too many words'],
  ['/a truncate times', 'no whole number for times'],
  ['/a truncate times 0', 'befalls nothing'],
  ['/a truncate times 1 2', 'too many words'],
  ['/a status 200', 'names no failure'],
  ['/a slow 0', 'never send a byte'],
  ['/a redirect', 'names no address'],
  ['/a endless 5', 'too many words'],
] as const)('parseServeFault() refuses "%s"', ([text, message]) => {
  expect(() => parseServeFault(text)).toThrow(message)
})

it('ServeFaults lets the first rule decide, as often as it says', () => {
  const faults = new ServeFaults()
  faults.add(parseServeFault('/d/*.raw status 500 times 1'))
  const rule = faults.add(parseServeFault('/** endless'))
  expect(['/d/a.raw', '/d/a.raw', '/d/e/a.raw'].map((path) => faults.take(path)?.kind)).toEqual([
    'status',
    'endless',
    'endless',
  ])
  rule[Symbol.dispose]()
  expect(faults.take('/d/e/a.raw')).toBeUndefined()
})
