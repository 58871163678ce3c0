import { describe, expect, it } from 'vitest'
import { formatRequest, type Header, splitHeader } from './request.ts'
import { type HttpTarget, parseHttpUrl } from './target.ts'

const target = parseHttpUrl('http://192.0.2.1/a?b') as HttpTarget

const format = (method: 'GET' | 'PUT', headers: readonly Header[]) =>
  formatRequest(
    method,
    target,
    [
      ['User-Agent', ' ours'],
      ['Accept', ' */*'],
    ],
    headers,
  )?.toString()

describe('formatRequest()', () => {
  it('writes headers as they stand and in their order, without those that have no value', () => {
    const request = format('PUT', [
      ['X-B', '  1'],
      ['X-Empty', ' '],
      ['X-A', 'ä'],
    ])
    const own = 'Host: 192.0.2.1\r\nUser-Agent: ours\r\nAccept: */*\r\n'
    expect(request).toBe(`PUT /a?b HTTP/1.1\r\n${own}X-B:  1\r\nX-A:ä\r\n\r\n`)
  })

  it('lets a header take the place of our own', () => {
    expect(
      format('GET', [
        ['accept', ' text/plain'],
        ['HOST', ' other'],
      ]),
    ).toBe('GET /a?b HTTP/1.1\r\nHOST: other\r\nUser-Agent: ours\r\naccept: text/plain\r\n\r\n')
  })

  it.for([
    ['X: Y', 'a'],
    ['', 'a'],
    ['X', 'a\r\nHost: b'],
    ['X', 'a\nb'],
    ['X', 'a\0'],
    ['X', 'a\u0085b'],
  ] as const)('refuses %j with the value %j', ([name, value]) => {
    expect(format('GET', [[name, value]])).toBeUndefined()
  })

  it('takes a tab for a blank', () => {
    expect(format('GET', [['X', ' a\tb']])).toContain('X: a\tb\r\n')
  })
})

describe('splitHeader()', () => {
  it('splits at the first colon', () => {
    expect(splitHeader('A: b:c')).toEqual(['A', ' b:c'])
    expect(splitHeader('A')).toBeUndefined()
  })
})
