import { describe, expect, it } from 'vitest'
import { ECHO } from '../echo-service.test-support.ts'
import { memberOf } from './description.ts'
import { parseInterface } from './parse.ts'
import { findInvalid } from './validate.ts'

const all = parseInterface(`interface a.b
type Word(yes, no)
type Pair(left: int, right: ?Pair)
method M(b: bool, i: int, f: float, s: string, o: object, w: Word, n: ?Pair, l: ?[]int, m: ?[string]Word, x: any) -> ()`)
const input = memberOf(all, 'method', 'M')?.input ?? { kind: 'struct', fields: [] }
const valid = { b: true, i: 1, f: 0.5, s: '', o: {}, w: 'yes', x: [] }

const invalidWith = (change: Readonly<Record<string, unknown>>): string | undefined =>
  findInvalid({ ...valid, ...change }, input, all)

describe('findInvalid()', () => {
  it.for([
    [{}],
    [{ n: null, l: null, m: null }],
    [{ n: { left: 1, right: { left: 2 } }, l: [], m: {} }],
    [{ l: [1, -1, 2n ** 63n - 1n, -(2n ** 63n)], m: { any: 'no' } }],
    [{ f: 3, x: 0 }],
    [{ f: 2n ** 70n }],
  ] as const)('takes %o', ([change]) => {
    expect(invalidWith(change)).toBeUndefined()
  })

  it.for([
    [{ b: 1 }, 'b'],
    [{ b: null }, 'b'],
    [{ i: 1.5 }, 'i'],
    [{ i: '1' }, 'i'],
    [{ i: 2n ** 63n }, 'i'],
    [{ i: 2 ** 53 }, 'i'],
    [{ f: Number.POSITIVE_INFINITY }, 'f'],
    [{ s: 1 }, 's'],
    [{ o: [] }, 'o'],
    [{ o: null }, 'o'],
    [{ w: 'maybe' }, 'w'],
    [{ w: ['yes'] }, 'w'],
    [{ n: [] }, 'n'],
    [{ n: {} }, 'left'],
    [{ n: { left: 1, right: { left: 'x' } } }, 'left'],
    [{ n: { left: 1, middle: 2 } }, 'middle'],
    [{ l: {} }, 'l'],
    [{ l: [1, null] }, 'l'],
    [{ m: ['yes'] }, 'm'],
    [{ m: { a: 'maybe' } }, 'm'],
    [{ x: null }, 'x'],
    [{ more: 1, toString: 2 }, 'more'],
    [{ s: 1, b: 1 }, 'b'],
  ] as const)('names what is wrong with %o: %s', ([change, field]) => {
    expect(invalidWith(change)).toBe(field)
  })

  it('names what is missing', () => {
    expect(findInvalid({}, input, all)).toBe('b')
    expect(findInvalid(Object.create({ b: true }) as Record<string, unknown>, input, all)).toBe('b')
  })

  it('refuses parameters of a type that is not there', () => {
    const cut = { ...ECHO, members: ECHO.members.filter(({ kind }) => kind === 'method') }
    const echo = memberOf(cut, 'method', 'Echo')?.input ?? input
    expect(findInvalid({ nested: {} }, echo, cut)).toBe('nested')
  })
})
