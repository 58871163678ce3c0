import { describe, expect, it } from 'vitest'
import { parseIni } from './index.ts'

/** One line for each item. */
function lines(text: string | Buffer, sections = ['A', 'B']): string[] {
  return parseIni(Buffer.from(text), sections).map((item) =>
    item.kind === 'assignment'
      ? `${item.line} ${item.section}.${item.key}=${item.value}`
      : `${item.line} ${item.kind} ${item.text}`,
  )
}

describe('parseIni()', () => {
  it.for([
    ['[A]\nx=1\n\n  y = a b  \n', ['2 A.x=1', '4 A.y=a b']],
    ['[A]\r\nx=1\r\n[B]\rx=2', ['2 A.x=1', '4 B.x=2']],
    ['[A]\n# x=1\n ; y=2\nz=#3', ['4 A.z=#3']],
    ['[A]\nx=1 \\\n# between\n  2\\\\\ny=3', ['4 A.x=1    2\\\\', '5 A.y=3']],
    ['[A]\nx=1\\', ['3 A.x=1']],
    ['[A]\nx=1\\\n\ny=2', ['3 A.x=1', '4 A.y=2']],
    ['\ufeff[A]\nx=ü', ['2 A.x=ü']],
    [
      'x=1\n[A]\nfoo\n=2',
      [
        '1 warning Assignment outside of section. Ignoring.',
        "3 warning Missing '=', ignoring line.",
        "4 warning Missing key name before '=', ignoring line.",
      ],
    ],
    ['[C]\nfoo\nx=1\n[X-C]\ny=2\n[B]\nz=3', ["1 warning Unknown section 'C'. Ignoring.", '7 B.z=3']],
    ['[A]\nx=1\n[B\ny=2', ['2 A.x=1', "3 fatal Invalid section header '[B'"]],
    ['[]\nx=1', ["1 fatal Section header invalid '[]'"]],
  ] as const)('reads %j', ([text, expected]) => {
    expect(lines(text)).toEqual(expected)
  })

  it('ends at what is no UTF-8', () => {
    expect(lines(Buffer.from('[A]\nx=1\ny=\xff\nz=2', 'latin1'))).toEqual([
      '2 A.x=1',
      expect.stringMatching(/^3 fatal String is not UTF-8 clean/),
    ])
  })

  it('ends at a line that is too long, also one made of many', () => {
    expect(lines(`[A]\n${'x'.repeat(1024 * 1024 + 1)}`).at(-1)).toBe('2 fatal Line too long.')
    expect(lines(`[A]\nx=${`${'y'.repeat(1000)}\\\n`.repeat(1100)}`).at(-1)).toMatch(/fatal Line too long/)
  })
})
