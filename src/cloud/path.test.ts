import { validateHeaderValue } from 'node:http'
import { expect, it } from 'vitest'
import { decodePath, decodeQuery, slashedLocation } from './path.ts'

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

it.for([
  [[['Host', 'metadata']], '/a/b', '', 'http://metadata/a/b/'],
  [[], '/a%2f', 'x=1&y', '/a%2f/?x=1&y'],
  [[['Host', 'a\u0001']], '/ä\u0000', '\u0000\n\u0100', 'http://a%01/ä%00/?%00%0A%C4%80'],
] as const)('slashedLocation() of %j, %j and %j is %j', ([headers, path, query, expected]) => {
  const location = slashedLocation({ headers, path, query })
  expect(location).toBe(expected)
  expect(() => validateHeaderValue('Location', location)).not.toThrow()
})
