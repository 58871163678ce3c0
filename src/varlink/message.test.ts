import { describe, expect, it } from 'vitest'
import { formatCall, formatReply, parseCall, parseReply } from './message.ts'

const call = (text: string) => parseCall(Buffer.from(text))
const INFO = '"method":"org.varlink.service.GetInfo"'
const plain = { method: 'org.varlink.service.GetInfo', parameters: {}, more: false, oneway: false, upgrade: false }

describe('parseCall()', () => {
  it.for([
    [`{${INFO}}`, {}],
    [` {${INFO},"parameters":null} `, {}],
    [`{${INFO},"more":true}`, { more: true }],
    [`{${INFO},"more":false,"oneway":true}`, { oneway: true }],
    [`{${INFO},"upgrade":true}`, { upgrade: true }],
    [`{${INFO},"parameters":{"a":${'['.repeat(2046)}${']'.repeat(2046)}}}`, expect.anything()],
    [`{${INFO},"parameters":{"a":"${'['.repeat(5000)}\\""}}`, expect.anything()],
  ] as const)('reads %s', ([text, facts]) => {
    const expected = typeof facts === 'object' && 'asymmetricMatch' in facts ? facts : { ...plain, ...facts }
    expect(call(text)).toEqual(expected)
  })

  // Each of them ends the connection to a service of systemd 262, but for a member that comes twice.
  it.for([
    ['', 'JSON'],
    ['{}', 'expected a string, found nothing'],
    ['[]', 'expected an object, found []'],
    ['1', 'expected an object, found 1'],
    ['garbage', 'JSON'],
    [`{${INFO}`, 'JSON'],
    [`{${INFO}} x`, 'JSON'],
    [`\ufeff{${INFO}}`, 'JSON'],
    ['{"method":1}', 'method'],
    ['{"error":"a.b.C"}', 'expected only method, parameters, more, oneway, upgrade, found "error"'],
    [`{${INFO},"foo":1}`, 'found "foo"'],
    [`{${INFO},"__proto__":{"more":true}}`, 'found "__proto__"'],
    [`{${INFO},"parameters":[]}`, 'parameters'],
    [`{${INFO},"parameters":"x"}`, 'parameters'],
    [`{${INFO},"more":1}`, 'more'],
    [`{${INFO},"more":null}`, 'more'],
    [`{${INFO},"more":true,"oneway":true}`, 'oneway'],
    [`{${INFO},"parameters":{"x":${'['.repeat(3000)}${']'.repeat(3000)}}}`, 'at most 2048 levels'],
    [`{${INFO},"parameters":{"x":${'{"x":'.repeat(3000)}`, 'at most 2048 levels'],
  ] as const)('refuses %s', ([text, problem]) => {
    const message = expect.stringContaining(problem)
    expect(() => call(text)).toThrow(expect.objectContaining({ code: 'MALFORMED_INPUT', message }))
  })

  it('refuses what is no UTF-8', () => {
    const text = Buffer.from(`{"method":"\xff"}`, 'latin1')
    expect(() => parseCall(text)).toThrow(expect.objectContaining({ code: 'MALFORMED_INPUT' }))
  })

  it('refuses each beginning of a call', () => {
    const whole = Buffer.from(`{${INFO},"parameters":{"a":[1,"b\\u0000",{}]},"more":true}`)
    for (let length = 0; length < whole.length; length++) {
      expect(() => parseCall(whole.subarray(0, length))).toThrow(expect.objectContaining({ code: 'MALFORMED_INPUT' }))
    }
  })

  it('keeps whole numbers exact that JSON would round, and writes them so', () => {
    const numbers = [9007199254740993n, -9223372036854775808n, 9007199254740991, 1.5e300]
    const text =
      '{"method":"a.b.C","parameters":{"numbers":[9007199254740993,-9223372036854775808,9007199254740991,1.5e300]}}'
    expect(call(text).parameters).toEqual({ numbers })
    expect(formatCall({ method: 'a.b.C', parameters: { numbers } }).toString()).toBe(
      `${text.replace('1.5e300', '1.5e+300')}\0`,
    )
  })
})

describe('parseReply()', () => {
  it.for([
    ['{}', { parameters: {}, error: undefined, continues: false }],
    ['{"parameters":{"a":1},"continues":true}', { parameters: { a: 1 }, error: undefined, continues: true }],
    ['{"error":"a.b.C"}', { parameters: {}, error: 'a.b.C', continues: false }],
  ] as const)('reads %s', ([text, reply]) => {
    expect(parseReply(Buffer.from(text))).toEqual(reply)
  })

  it.for([
    '[]',
    '{"error":1}',
    '{"error":""}',
    '{"error":"a.b.C","continues":true}',
    '{"method":"a.b.C"}',
    '{"continues":0}',
  ])('refuses %s', (text) => {
    expect(() => parseReply(Buffer.from(text))).toThrow(expect.objectContaining({ code: 'MALFORMED_INPUT' }))
  })
})

describe('formatReply()', () => {
  it.for([
    [{}, '{"parameters":{}}'],
    [{ parameters: { a: 1 }, continues: true }, '{"parameters":{"a":1},"continues":true}'],
    [{ error: 'a.b.C' }, '{"error":"a.b.C"}'],
    [{ error: 'a.b.C', parameters: {} }, '{"error":"a.b.C"}'],
    [{ error: 'a.b.C', parameters: { a: 1 } }, '{"error":"a.b.C","parameters":{"a":1}}'],
  ] as const)('writes %o as systemd does', ([reply, text]) => {
    expect(formatReply(reply).toString()).toBe(`${text}\0`)
  })
})
