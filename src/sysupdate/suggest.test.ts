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
  expect(judged(on('Version', 'systemd > 200'))).toBe('Operation not supported')
  expect(judged(on('MachineTag', 'no-such-tag-anywhere'))).toBe(false)
})
