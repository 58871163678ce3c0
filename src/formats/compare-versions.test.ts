import { describe, expect, it } from 'vitest'
import { compareVersions } from './index.ts'

describe('compareVersions()', () => {
  /** From the specification and from names that systems give their kernels, oldest first. */
  const ascending = [
    '~1',
    '',
    'ab',
    'abb',
    'abc',
    '0001',
    '002',
    '12',
    '122.9',
    '123~rc1-1',
    '123',
    '123-a',
    '123-a.1',
    '123-a1',
    '123-a1.1',
    '123-3',
    '123-3.1',
    '123^patch1',
    '123^1',
    '123.a-1',
    '123.1-1',
    '123a-1',
    '124',
  ]

  it('orders the examples of the specification', () => {
    for (const [index, older] of ascending.entries()) {
      for (const newer of ascending.slice(index + 1)) {
        expect(compareVersions(older, newer), `${older} < ${newer}`).toBe(-1)
        expect(compareVersions(newer, older), `${newer} > ${older}`).toBe(1)
      }
      expect(compareVersions(older, older)).toBe(0)
    }
  })

  it.for([
    ['6.12.9', '6.12.10'],
    ['cloud_9.efi', 'cloud_10.efi'],
    ['7.2.12+deb14', '7.2.12+deb15'],
    ['a', 'b'],
    ['A', 'a'],
    ['9'.repeat(40), `1${'0'.repeat(40)}`],
  ])('%s is older than %s', ([older = '', newer = '']) => {
    expect(compareVersions(older, newer)).toBe(-1)
    expect(compareVersions(newer, older)).toBe(1)
  })

  it('takes leading zeros and foreign characters for nothing', () => {
    expect(compareVersions('1.02', '1.2')).toBe(0)
    expect(compareVersions('1_2', '1/2')).toBe(0)
  })
})
