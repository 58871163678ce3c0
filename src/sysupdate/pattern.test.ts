import { describe, expect, it } from 'vitest'
import { formatPattern, matchPattern, matchPatterns, type PatternFields, parsePattern } from './pattern.ts'

const UUID = '0b4f1ea0-5f0b-4c4d-9a44-bb0ee1a2a4a1'
const HASH = 'AB'.repeat(32)

/** What a list of patterns says on a name: `index:version`, and `>` when any of them goes on below. */
function outcome(patterns: string, name: string): string {
  const match = matchPatterns(patterns.split(' ').map(parsePattern), name)
  const { version, triesLeft, triesDone } = match.fields ?? {}
  const tries = triesLeft === undefined ? '' : `+${triesLeft}${triesDone === undefined ? '' : `-${triesDone}`}`
  return `${match.fields === undefined ? 'no' : `${match.index}:${version}${tries}`}${match.isDescent ? '>' : ''}`
}

describe('matchPatterns()', () => {
  const counted = 'u_@v+@l-@d.efi u_@v+@l.efi u_@v.efi'
  it.for([
    [counted, 'u_7+3-0.efi', '0:7+3-0'],
    [counted, 'u_7+3.efi', '1:7+3'],
    [counted, 'u_7.efi', '2:7'],
    ['u_@v.efi', 'u_7+3-0.efi', '0:7+3-0'],
    [counted, 'u_1+b+3-0.efi', '2:1+b+3-0'],
    ['x_@v_@u.raw', `x_1_2_${UUID}.raw`, 'no'],
    ['x_@v_@u.raw', `x_1_${UUID}.raw`, '0:1'],
    ['linux-@v.erofs', 'linux-1.erofs.caibx', 'no'],
    ['d_@v/image.raw', 'd_1', 'no>'],
    ['d_@v/image.raw', 'd_1/image.raw', '0:1'],
    ['d_@v/image.raw', 'd_1.x', 'no>'],
    ['d_@v/image.raw', 'd_1/other.raw', 'no'],
    ['d_@v/image.raw', 'd_', 'no'],
    ['**/b-@v.bin', 'sub/b-1.bin', '0:1>'],
    ['**/b-@v.bin', 'sub', 'no>'],
    ['d_@v d_@v/x', 'd_1', '0:1>'],
    ['d_@v/x d_@v', 'd_1', '1:1>'],
    ['@@k_@v', '@k_1', '0:1'],
    ['a_@v.raw', 'a_1,2.raw', 'no'],
    ['a_@v.raw', 'a_.raw', 'no'],
    ['a_@v.raw', 'a_1.raw.raw', 'no'],
    ['a_@v.raw', 'a_1..raw', '0:1.'],
    ['a_@v.raw', 'a_1~rc1.raw', '0:1~rc1'],
    ['a_@v.raw', 'a_1^x.raw', '0:1^x'],
    ['a_@v.raw', 'a_1_b.raw', '0:1_b'],
    ['a_@v', `a_${'1'.repeat(256)}`, 'no'],
  ])('%s takes %s as %s', ([patterns = '', name = '', expected]) => {
    expect(outcome(patterns, name)).toBe(expected)
  })

  it.for([
    ['f', '0xFf', 'partitionFlags', 255n],
    ['f', '1000000000000000', 'partitionFlags', 1n << 60n],
    ['f', '1'.repeat(17), undefined, undefined],
    ['a', 'Yes', 'noAuto', true],
    ['g', 'off', 'growFileSystem', false],
    ['r', 'maybe', undefined, undefined],
    ['t', '1700000000000000', 'mtimeUs', 1_700_000_000_000_000n],
    ['m', '0644', 'mode', 0o644],
    ['m', '0666', undefined, undefined],
    ['m', '4755', undefined, undefined],
    ['s', '18446744073709551615', 'size', 2n ** 64n - 1n],
    ['s', '18446744073709551616', undefined, undefined],
    ['h', HASH, 'sha256', HASH.toLowerCase()],
    ['h', HASH.slice(1), undefined, undefined],
    ['u', UUID.replaceAll('-', '').toUpperCase(), 'partitionUuid', UUID],
  ] as const)('@%s reads %s', ([field, text, key, value]) => {
    const match = matchPattern(parsePattern(`x_@v:@${field}`), `x_1:${text}`)
    if (key === undefined) expect(match).toEqual({ result: 'no' })
    else expect(match).toEqual({ result: 'yes', fields: { version: '1', [key]: value } })
  })
})

describe('parsePattern()', () => {
  it.for([
    'a',
    'a_@v@u',
    'a_@v_@v',
    'a_@v_@',
    'a_@v_@x',
    'a*_@v',
    'a_@v\x01',
    'a_@v|x',
    '**/x/a_@v',
    '**/',
    'a/**/@v',
    '',
  ])('refuses %j', (text) => {
    expect(() => parsePattern(text)).toThrowError(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
  })
})

describe('formatPattern()', () => {
  const fields: PatternFields = {
    version: '1.2',
    partitionUuid: UUID,
    partitionFlags: 255n,
    noAuto: true,
    growFileSystem: false,
    readOnly: true,
    mtimeUs: 5n,
    mode: 0o44,
    size: 7n,
    triesDone: 0n,
    triesLeft: 3n,
    sha256: HASH.toLowerCase(),
  }
  it('writes each field so that it is read as the same', () => {
    const pattern = parsePattern('@@d/@v_@u_@f_@a_@g_@r_@t_@m_@s_@d_@l_@h.raw')
    const name = formatPattern(pattern, fields)
    expect(name).toBe(`@d/1.2_${UUID.replaceAll('-', '')}_ff_1_0_1_5_044_7_0_3_${HASH.toLowerCase()}.raw`)
    expect(matchPattern(pattern, name)).toEqual({ result: 'yes', fields })
  })

  it('names the field that it lacks', () => {
    expect(() => formatPattern(parsePattern('a_@v_@s'), { version: '1' })).toThrowError(/@s/)
  })
})
