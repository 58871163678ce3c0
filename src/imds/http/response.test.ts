import { describe, expect, it } from 'vitest'
import { BodyTooLarge, type HttpResponse, ResponseReader } from './response.ts'

const PLAIN = 'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello'
const CHUNKED =
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: z\r\n\r\n'

function read(
  text: string,
  { pieces = Number.MAX_SAFE_INTEGER, maxBytes = 100, isEnd = true } = {},
): HttpResponse | undefined {
  const reader = new ResponseReader(maxBytes)
  const bytes = Buffer.from(text, 'latin1')
  for (let at = 0; at < bytes.length; at += pieces) {
    const response = reader.push(bytes.subarray(at, at + pieces))
    if (response !== undefined) return response
  }
  return isEnd ? reader.end() : undefined
}

describe('ResponseReader', () => {
  it.for([
    ['a body with a length', PLAIN, 200, 'hello'],
    ['a body in chunks', CHUNKED, 200, 'hello'],
    ['a body up to the end', 'HTTP/1.0 200 OK\r\n\r\nhello', 200, 'hello'],
    ['no body', 'HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n', 404, ''],
    ['a status without a body', 'HTTP/1.1 204 No Content\r\n\r\n', 204, ''],
    ['a status without a reason', 'HTTP/1.1 200\r\ncontent-length: 1\r\n\r\nx', 200, 'x'],
    ['an interim answer', `HTTP/1.1 100 Continue\r\n\r\n${PLAIN}`, 200, 'hello'],
    ['the same length twice', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx', 200, 'x'],
  ] as const)('reads %s, in one piece or in many', ([, text, status, body]) => {
    for (const pieces of [Number.MAX_SAFE_INTEGER, 1, 2, 7]) {
      const response = read(text, { pieces })
      expect(response?.status).toBe(status)
      expect(Buffer.from(response?.body ?? []).toString()).toBe(body)
    }
  })

  it('tells where the answer leads', () => {
    expect(read('HTTP/1.1 302 F\r\nLOCATION: /y\r\nContent-Length: 0\r\n\r\n')?.location).toBe('/y')
    expect(read(PLAIN)).not.toHaveProperty('location')
  })

  it.for([PLAIN, CHUNKED])('refuses every truncation of %j', (text) => {
    for (let length = 0; length < text.length; length++) {
      expect(() => read(text.slice(0, length))).toThrow(expect.objectContaining({ code: 'MALFORMED_INPUT' }))
    }
  })

  it.for([
    ['another protocol', 'SSH-2.0-OpenSSH_10.0\r\n'],
    ['another version', 'HTTP/2 200\r\n\r\n'],
    ['a status that is no number', 'HTTP/1.1 2x0 OK\r\n\r\n'],
    ['a header without a colon', 'HTTP/1.1 200 OK\r\nnonsense\r\n\r\n'],
    ['a header that begins with a blank', 'HTTP/1.1 200 OK\r\nA: b\r\n c: d\r\n\r\n'],
    ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx'],
    ['a negative length', 'HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n'],
    ['a length of a chunk that is none', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n'],
    ['a chunk that is longer than it says', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n'],
    ['a compressed body', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n'],
    ['chunks and a length', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n'],
    ['interim answers without an end', 'HTTP/1.1 100 Continue\r\n\r\n'.repeat(9)],
    ['headers without an end', `HTTP/1.1 200 OK\r\n${'A: b\r\n'.repeat(20_000)}`],
    [
      'trailers without an end',
      `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n${'A: b\r\n'.repeat(20_000)}`,
    ],
    ['a line of a chunk without an end', `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${'0'.repeat(2000)}`],
  ] as const)('refuses %s before the connection ends', ([, text]) => {
    expect(() => read(text, { isEnd: false })).toThrow(expect.objectContaining({ code: 'MALFORMED_INPUT' }))
  })

  it.for([
    ['says so', 'HTTP/1.1 404 Not Found\r\nContent-Length: 6\r\n\r\n'],
    ['comes', 'HTTP/1.1 404 Not Found\r\n\r\nhello!'],
    ['comes in chunks', 'HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n'],
  ] as const)('refuses a body that is longer than wanted as soon as it %s', ([, text]) => {
    const refusal = expect.objectContaining({ status: 404 })
    expect(() => read(text, { maxBytes: 5, isEnd: false })).toThrow(refusal)
    expect(() => read(text, { maxBytes: 5, isEnd: false })).toThrow(BodyTooLarge)
    expect(() => read(text, { maxBytes: 6, isEnd: false })).not.toThrow()
  })

  it('has not begun before the first byte', () => {
    const reader = new ResponseReader(1)
    expect(reader.hasBegun).toBe(false)
    reader.push(Buffer.from('H'))
    expect(reader.hasBegun).toBe(true)
  })
})
