import { describe, expect, it } from 'vitest'
import { kernelItems } from './kernel-command-line.ts'

describe('kernelItems()', () => {
  it.for([
    [
      'a=1 b',
      [
        ['a', '1'],
        ['b', undefined],
      ],
    ],
    ['  a-b_c=d-e \n', [['a_b_c', 'd-e']]],
    [
      'a="b c" d',
      [
        ['a', 'b c'],
        ['d', undefined],
      ],
    ],
    ["a='b \"c'", [['a', 'b "c']]],
    ['"a=b c"', [['a', 'b c']]],
    ['a="b c', [['a', 'b c']]],
    [
      'a="" ""',
      [
        ['a', ''],
        ['', undefined],
      ],
    ],
    ['a=b=c', [['a', 'b=c']]],
    ['a=\\"b', [['a', '\\b']]],
    ['', []],
  ] as const)('reads %j', ([text, items]) => {
    expect(kernelItems(text, { isInitrd: false }).map(({ key, value }) => [key, value])).toEqual(items)
  })

  it('reads what begins with rd. in the initrd only', () => {
    expect(kernelItems('rd.a=1 b=2', { isInitrd: true })).toEqual([
      { key: 'a', value: '1' },
      { key: 'b', value: '2' },
    ])
    expect(kernelItems('rd.a=1 b=2', { isInitrd: false })).toEqual([{ key: 'b', value: '2' }])
  })
})
