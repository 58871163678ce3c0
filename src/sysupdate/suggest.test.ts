import { hostname } from 'node:os'
import { expect, it } from 'vitest'
import { suggestion } from './suggest.ts'

const on = (subject: string, parameter: string, more: { isTrigger?: boolean; isNegated?: boolean } = {}) => ({
  subject,
  parameter,
  isTrigger: false,
  isNegated: false,
  ...more,
})
const judged = (...suggestOn: ReturnType<typeof on>[]) => suggestion({ suggest: undefined, suggestOn })

it('suggestion() takes the word of Suggest= first', () => {
  expect(suggestion({ suggest: true, suggestOn: [on('Host', 'none')] })).toBe(true)
  expect(suggestion({ suggest: undefined, suggestOn: [] })).toBe(false)
})

it('suggestion() judges hosts, by all conditions and one of the triggers', () => {
  const [first, rest] = [hostname()[0] ?? '', hostname().slice(1)]
  for (const glob of ['*', `${first}*`, `?${rest}`, `[${first}]${rest}`, `[!\u0001]*`]) {
    expect(judged(on('Host', glob)), glob).toBe(true)
  }
  expect(judged(on('Host', `${hostname()}.`))).toBe(false)
  expect(judged(on('Host', '*', { isNegated: true }))).toBe(false)
  expect(judged(on('Host', 'none.', { isTrigger: true }), on('Host', '*', { isTrigger: true }))).toBe(true)
  expect(judged(on('Host', '*'), on('Host', 'none.', { isTrigger: true }))).toBe(false)
})

it('suggestion() says why it cannot tell', () => {
  expect(judged(on('Firmware', 'smbios-field(malformed)'))).toBe('Invalid argument')
  expect(judged(on('Version', 'systemd >'))).toBe('Invalid argument')
  expect(judged(on('MachineTag', 'no-such-tag-anywhere'))).toBe(false)
})

it.for<readonly [string, string, ReturnType<typeof judged>]>([
  ['Version', 'systemd > 200', true],
  ['Version', 'systemd == 262.0', false],
  ['Version', 'systemd=262', true],
  ['Version', '>= 1 <1', false],
  ['Version', '>= 1 < 1', 'Invalid argument'],
  ['Version', '* $=*', true],
  ['Version', '"', 'Invalid argument'],
  ['OSRelease', 'NO_SUCH_FIELD=x', false],
  ['OSRelease', 'NO_SUCH_FIELD!=x', true],
  ['OSRelease', 'ID', 'Invalid argument'],
  ['OSRelease', 'ID= x', 'Invalid argument'],
  ['Credential', 'no-such-credential', false],
  ['Security', 'no-such-thing', false],
  ['Host', hostname().toUpperCase(), true],
  ['Firmware', 'smbios-field(no_such_field = x)', false],
  ['Firmware', 'smbios-field(x = y z)', 'Invalid argument'],
])('suggestion() judges SuggestOn%s=%s', ([subject, parameter, expected]) => {
  expect(judged(on(subject, parameter))).toBe(expected)
})
