import { describe, expect, it } from 'vitest'
import { glyphs } from './glyphs.ts'

describe('glyphs', () => {
  it.each([
    [{}, '✓', '\\'],
    [{ TERM: 'xterm' }, '✓', '⤵️'],
    [{ TERM: 'dumb' }, '✓', '\\'],
    [{ TERM: 'linux' }, '✓', '\\'],
    [{ TERM: 'xterm', LANG: 'C' }, '+', '\\'],
    [{ TERM: 'xterm', LANG: 'C.UTF-8' }, '✓', '⤵️'],
    [{ TERM: 'xterm', LANG: '' }, '+', '\\'],
    [{ LANG: 'C.UTF-8', LC_CTYPE: 'POSIX' }, '+', '\\'],
    [{ LANG: 'C', LC_CTYPE: 'POSIX', LC_ALL: 'C.UTF-8' }, '✓', '\\'],
    [{ LANG: 'C', SYSTEMD_UTF8: 'Yes' }, '✓', '\\'],
    [{ LANG: 'C', SYSTEMD_UTF8: 'perhaps' }, '+', '\\'],
    [{ SYSTEMD_UTF8: '0' }, '+', '\\'],
    [{ LANG: 'C', SYSTEMD_EMOJI: '1' }, '+', '⤵️'],
    [{ TERM: 'xterm', SYSTEMD_EMOJI: 'off' }, '✓', '\\'],
    [{ TERM: 'xterm', SYSTEMD_EMOJI: '' }, '✓', '⤵️'],
  ])('in %j are %s and %s', (environment, check, download) => {
    expect(glyphs(environment)).toMatchObject({ check, download })
  })
})
