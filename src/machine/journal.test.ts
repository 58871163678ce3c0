import { describe, expect, it } from 'vitest'
import { parseJournalEntry } from './journal.ts'

const entry = {
  __CURSOR: 's=1;i=2',
  __REALTIME_TIMESTAMP: '1763870400123456',
  __MONOTONIC_TIMESTAMP: '5000001',
  _BOOT_ID: 'b'.repeat(32),
  _PID: '42',
  PRIORITY: '3',
  SYSLOG_IDENTIFIER: 'sh',
  _SYSTEMD_UNIT: 'x.service',
  MESSAGE: 'hello',
}

describe('parseJournalEntry()', () => {
  it('reads the fields that most entries have', () => {
    expect(parseJournalEntry(JSON.stringify(entry))).toMatchObject({
      cursor: 's=1;i=2',
      realtime: new Date('2025-11-23T04:00:00.123Z'),
      monotonicUsec: 5_000_001,
      bootId: 'b'.repeat(32),
      message: 'hello',
      priority: 'err',
      unit: 'x.service',
      identifier: 'sh',
      pid: 42,
    })
  })

  it('takes the unit that the manager speaks of', () => {
    const found = parseJournalEntry(JSON.stringify({ ...entry, _SYSTEMD_UNIT: 'init.scope', UNIT: 'y.service' }))
    expect(found.unit).toBe('y.service')
  })

  it.for([
    ['bytes', [0xc3, 0x28, 0xff], '\ufffd(\ufffd', [Uint8Array.of(0xc3, 0x28, 0xff)]],
    ['several values', ['one', 'two'], 'one', ['one', 'two']],
    ['several values, one of bytes', ['one', [1, 2]], 'one', ['one', Uint8Array.of(1, 2)]],
    ['what was too large', null, '', []],
  ] as const)('reads a message of %s', ([, raw, message, fields]) => {
    const found = parseJournalEntry(JSON.stringify({ ...entry, MESSAGE: raw }))
    expect(found.message).toBe(message)
    expect(found.fields.MESSAGE).toEqual(fields)
  })

  it('does without what an entry need not have', () => {
    const { __CURSOR, __REALTIME_TIMESTAMP } = entry
    expect(parseJournalEntry(JSON.stringify({ __CURSOR, __REALTIME_TIMESTAMP, PRIORITY: '9' }))).toMatchObject({
      message: '',
      priority: undefined,
      unit: undefined,
      pid: undefined,
    })
  })

  it.for(['', 'null', '[]', '"x"', '{', '{}', '{"__CURSOR":"x"}', '{"__CURSOR":"x","__REALTIME_TIMESTAMP":"now"}'])(
    'refuses %s',
    (line) => {
      expect(() => parseJournalEntry(line)).toThrow(expect.objectContaining({ code: 'MALFORMED_INPUT' }))
    },
  )
})
