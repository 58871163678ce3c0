import { describe, expect, it } from 'vitest'
import { issueToken, parseTtl, remainingSeconds } from './tokens.ts'

const scope = { service: 'test', instanceId: 'i-00000000', generation: 0 }

describe('issueToken()', () => {
  it('makes tokens of the length of real ones, fit for a header', () => {
    expect(issueToken(scope, 1_000, 60)).toMatch(/^[\w-]{54}==$/)
  })

  it('makes another token at another time', () => {
    expect(issueToken(scope, 1_000, 60)).not.toBe(issueToken(scope, 1_001, 60))
  })
})

describe('remainingSeconds()', () => {
  const token = issueToken(scope, 1_000, 60)

  it('counts down to the end of the lifetime, and not beyond', () => {
    expect(remainingSeconds(scope, token, 1_000)).toBe(60)
    expect(remainingSeconds(scope, token, 60_999)).toBe(1)
    expect(remainingSeconds(scope, token, 61_000)).toBeUndefined()
  })

  it('does not know tokens of another service, instance or generation', () => {
    expect(remainingSeconds({ ...scope, service: 'other' }, token, 1_000)).toBeUndefined()
    expect(remainingSeconds({ ...scope, instanceId: 'i-00000001' }, token, 1_000)).toBeUndefined()
    expect(remainingSeconds({ ...scope, generation: 1 }, token, 1_000)).toBeUndefined()
  })

  it('refuses a token with any one character changed', () => {
    for (let at = 0; at < token.length; at++) {
      const changed = `${token.slice(0, at)}${token[at] === 'A' ? 'B' : 'A'}${token.slice(at + 1)}`
      expect(remainingSeconds(scope, changed, 1_000), changed).toBeUndefined()
    }
  })

  it.for(['', '==', 'AAAA', `${'A'.repeat(54)}==`, `${token} `, `${token}\n`, `${token}${token}`])(
    'refuses %j',
    (other) => {
      expect(remainingSeconds(scope, other, 1_000)).toBeUndefined()
    },
  )
})

describe('parseTtl()', () => {
  it.for([
    ['1', 1],
    ['900', 900],
    ['21600', 21_600],
  ] as const)('takes %s', ([text, seconds]) => {
    expect(parseTtl(text, 21_600)).toBe(seconds)
  })

  it.for([undefined, '', '0', '-1', '21601', '1.5', '0x10', '60, 60', ' 60', 'abc', '99999999999'])(
    'refuses %j',
    (text) => {
      expect(parseTtl(text, 21_600)).toBeUndefined()
    },
  )
})
