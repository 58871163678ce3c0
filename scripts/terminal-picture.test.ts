import { describe, expect, it } from 'vitest'
import { terminalPicture } from './terminal-picture.ts'

/** Text elements as column, class and text. */
function texts(svg: string): string[][] {
  return [...svg.matchAll(/<text x="([\d.]+)" y="\d+"(?: class="(\w+)")?>([^<]*)<\/text>/g)].map(
    ([, x, className = '', text = '']) => [String(Math.round((Number(x) - 18) / 8.4)), className, text],
  )
}

describe('terminalPicture()', () => {
  it('puts each piece where the terminal has it, in its colour', () => {
    const output = '\n  \x1b[32m✓\x1b[39m It holds    \x1b[2mbecause\x1b[22m\n'
    expect(texts(terminalPicture('./bootwright verify', output))).toEqual([
      ['0', 'bold', '$ ./bootwright verify'],
      ['2', 'green', '✓'],
      ['4', '', 'It holds'],
      ['16', 'dim', 'because'],
    ])
  })

  it('writes what XML reserves as text', () => {
    const svg = terminalPicture('a', 'found <b> & "c" \x07')
    expect(texts(svg).at(-1)?.at(-1)).toBe('found &lt;b&gt; &amp; "c" \uFFFD')
  })

  it('is as wide as the longest line', () => {
    const width = (svg: string) => Number(/width="(\d+)"/.exec(svg)?.[1])
    expect(width(terminalPicture('a', 'x'.repeat(100)))).toBeGreaterThan(100 * 8)
  })
})
