import { expect, it } from 'vitest'
import { decodePath, decodeQuery } from './path.ts'

it.for([
  ['/', ['']],
  ['/a/b', ['a', 'b']],
  ['/a//b/', ['a', '', 'b', '']],
  ['/a%2Fb/%c3%a4', ['a/b', 'ä']],
  ['/a+b', ['a+b']],
  ['', undefined],
  ['a', undefined],
  ['/%', undefined],
  ['/%ff', undefined],
] as const)('decodePath() makes of %j %j', ([path, names]) => {
  expect(decodePath(path)).toEqual(names)
})

it.for([
  ['', []],
  ['&&', []],
  ['a', [['a', '']]],
  [
    'a=1&a=2',
    [
      ['a', '1'],
      ['a', '2'],
    ],
  ],
  ['a=b=c', [['a', 'b=c']]],
  ['a%20b=c+d', [['a b', 'c d']]],
  ['a=%', undefined],
  ['%ff=', undefined],
] as const)('decodeQuery() makes of %j %j', ([query, pairs]) => {
  expect(decodeQuery(query)).toEqual(pairs)
})
