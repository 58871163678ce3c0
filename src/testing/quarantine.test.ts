import { describe, expect, it } from 'vitest'
import { isExpired, parseQuarantine, readQuarantine } from './quarantine.ts'

const ENTRY = { test: 'a > b', reason: 'r', tracker: 'https://example.org/1', until: '2026-03-01' }

describe('parseQuarantine()', () => {
  it('takes whole entries', () => {
    expect(parseQuarantine(JSON.stringify([ENTRY]), 'q.json')).toEqual([ENTRY])
    expect(parseQuarantine('[]', 'q.json')).toEqual([])
  })

  it.for([
    ['{', 'it is not JSON'],
    ['{}', 'it is no list'],
    ['[null]', 'entry 1 has no "test"'],
    [JSON.stringify([ENTRY, { ...ENTRY, reason: ' ' }]), 'entry 2 has no "reason"'],
    [JSON.stringify([{ ...ENTRY, until: 'soon' }]), '"until" of entry 1 is "soon", which is no day'],
    [JSON.stringify([{ ...ENTRY, until: '2026-02-99' }]), '"until" of entry 1 is "2026-02-99", which is no day'],
    [JSON.stringify([{ ...ENTRY, tracker: '#12' }]), '"tracker" of entry 1 is "#12", which is no link'],
  ] as const)('refuses %s', ([text, found]) => {
    expect(() => parseQuarantine(text, 'q.json')).toThrow(`Cannot read q.json: ${found}`)
  })

  it('is empty where there is no file', async () => {
    expect(await readQuarantine('/nonexistent/quarantine.json')).toEqual([])
  })
})

describe('isExpired()', () => {
  it('holds on its last day, and no longer', () => {
    expect(isExpired(ENTRY, new Date('2026-03-01T23:59:59Z'))).toBe(false)
    expect(isExpired(ENTRY, new Date('2026-03-02T00:00:00Z'))).toBe(true)
  })
})
