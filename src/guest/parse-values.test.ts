import { describe, expect, it } from 'vitest'
import { parseBoolean, parseTimeSpan, parseUint32 } from './parse-values.ts'

describe('parseTimeSpan()', () => {
  it.for([
    ['1', 1_000_000],
    ['1.5', 1_500_000],
    ['2min', 120_000_000],
    ['1h 30s', 3_630_000_000],
    ['1h30s', 3_630_000_000],
    ['500 ms', 500_000],
    ['7us', 7],
    ['1y', 31_557_600_000_000],
    ['1M', 2_629_800_000_000],
    ['infinity', 2 ** 64],
    ['', undefined],
    ['x', undefined],
    ['-1', undefined],
    ['1 parsec', undefined],
    ['1 2', 3_000_000],
  ] as const)('reads %j', ([text, usec]) => {
    expect(parseTimeSpan(text)).toBe(usec)
  })
})

describe('parseUint32()', () => {
  it.for([
    ['0', 0],
    ['0x7FFF0815', 0x7fff0815],
    ['010', 8],
    ['0o10', 8],
    ['0b11', 3],
    ['4294967295', 4_294_967_295],
    ['4294967296', undefined],
    ['-1', undefined],
    ['1e3', undefined],
    ['', undefined],
  ] as const)('reads %j', ([text, number]) => {
    expect(parseUint32(text)).toBe(number)
  })
})

describe('parseBoolean()', () => {
  it('takes the words that systemd takes', () => {
    expect(['1', 'YES', 't', 'on'].map(parseBoolean)).toEqual([true, true, true, true])
    expect(['0', 'No', 'f', 'off'].map(parseBoolean)).toEqual([false, false, false, false])
    expect(['', '2', 'auto'].map(parseBoolean)).toEqual([undefined, undefined, undefined])
  })
})
