import { describe, expect, it } from 'vitest'
import {
  comparePcrs,
  explainPcrs,
  parseEventLog,
  parsePcrBanks,
  parseUserspaceLog,
  replayEventLog,
  userspaceExtends,
} from './index.ts'
import {
  action,
  agileLog,
  ascii,
  type LoggedEvent,
  ovmfBoot,
  separator,
  userspaceRecord,
} from './log-writer.test-support.ts'

const logOf = (events: LoggedEvent[]) => parseEventLog(agileLog(events))
const log = logOf(ovmfBoot())
const actual = replayEventLog(log).values
const a = 'aa'.repeat(32)
const b = 'bb'.repeat(32)

describe('parsePcrBanks()', () => {
  it('takes values as sysfs shows them', () => {
    expect(parsePcrBanks({ sha256: { 11: `${a.toUpperCase()}\n` } })).toEqual(new Map([['sha256', new Map([[11, a]])]]))
  })

  it.for<[string, Record<string, Record<string, string>>, string]>([
    ['an unknown bank', { md5: { 1: a } }, 'UNKNOWN_NAME'],
    ['a value of another bank', { sha1: { 1: a } }, 'MALFORMED_INPUT'],
    ['no hexadecimal text', { sha256: { 1: 'g'.repeat(64) } }, 'MALFORMED_INPUT'],
    ['PCR 24', { sha256: { 24: a } }, 'INVALID_ARGUMENT'],
    ['a PCR that is no number', { sha256: { x: a } }, 'INVALID_ARGUMENT'],
  ])('rejects %s', ([, banks, code]) => {
    expect(() => parsePcrBanks(banks)).toThrow(expect.objectContaining({ code }))
  })
})

describe('comparePcrs()', () => {
  it('says of each expected value whether it was found, and what was found instead', () => {
    const expected = parsePcrBanks({ sha256: { 4: a, 11: a, 12: a }, sha1: { 4: 'cc'.repeat(20) } })
    const found = parsePcrBanks({ sha256: { 0: b, 4: a, 11: b } })
    expect(comparePcrs(expected, found)).toEqual([
      { bank: 'sha256', pcr: 4, status: 'equal', expected: a, found: a },
      { bank: 'sha256', pcr: 11, status: 'different', expected: a, found: b },
      { bank: 'sha256', pcr: 12, status: 'not-read', expected: a, found: undefined },
      { bank: 'sha1', pcr: 4, status: 'not-read', expected: 'cc'.repeat(20), found: undefined },
    ])
  })
})

describe('explainPcrs()', () => {
  it('has nothing to say where the log leads to every value', () => {
    expect(explainPcrs(log, actual)).toEqual([])
  })

  it('names the one PCR in which a record was changed, in all banks', () => {
    const events = ovmfBoot().map((event, index) => (index === 1 ? { ...event, hashed: ascii('other PEIFV') } : event))
    const unexplained = explainPcrs(logOf(events), actual)
    expect(unexplained.map(({ bank, pcr }) => [bank, pcr])).toEqual([
      ['sha1', 0],
      ['sha256', 0],
      ['sha384', 0],
      ['sha512', 0],
    ])
    expect(unexplained[1]).toMatchObject({
      found: actual.get('sha256')?.get(0),
      replayed: replayEventLog(logOf(events)).values.get('sha256')?.get(0),
      explanation: { kind: 'unknown' },
    })
  })

  it('needs the userspace log for what userspace measured', () => {
    const words = ['enter-initrd', 'leave-initrd'].map((word) => userspaceRecord(11, word))
    const more = userspaceExtends(parseUserspaceLog(ascii(words.join(''))))
    const later = replayEventLog(log, more).values
    expect(explainPcrs(log, later, more)).toEqual([])
    expect(explainPcrs(log, later).map(({ pcr }) => pcr)).toEqual([11, 11, 11, 11])
  })

  it("recognises that systemd's log is not given, by the word that closes a PCR", () => {
    const more = userspaceExtends(parseUserspaceLog(ascii(userspaceRecord(7, 'os-separator'))))
    const later = replayEventLog(log, more).values
    expect(explainPcrs(log, later)).toMatchObject(
      [...later.keys()].map((bank) => ({ bank, pcr: 7, explanation: { kind: 'os-separator' } })),
    )
    const other = userspaceExtends(parseUserspaceLog(ascii(userspaceRecord(11, 'enter-initrd'))))
    expect(explainPcrs(log, later, other)).toContainEqual(
      expect.objectContaining({ pcr: 7, explanation: { kind: 'unknown' } }),
    )
  })

  it('recognises a value that was read too early', () => {
    const words = ['enter-initrd', 'leave-initrd'].map((word) => userspaceRecord(11, word))
    const more = userspaceExtends(parseUserspaceLog(ascii(words.join(''))))
    const early = replayEventLog(log, more.slice(0, 1)).values
    expect(explainPcrs(log, early, more)[0]).toMatchObject({
      pcr: 11,
      explanation: { kind: 'earlier-value', records: 5, of: 6 },
    })
  })

  it.for([
    ['Success', ['Invocation', 'Returned with Success']],
    ['Failure and Success', ['Invocation', 'Returned with Failure', 'Invocation', 'Returned with Success']],
  ] as const)('recognises ExitBootServices records that firmware lost: %s', ([, endings]) => {
    const actions = endings.map((ending) => `Exit Boot Services ${ending}`)
    const kept = ovmfBoot().slice(0, -2)
    const os = userspaceExtends(parseUserspaceLog(ascii(userspaceRecord(5, 'os-separator'))))
    const full = replayEventLog(logOf([...kept, ...actions.map((text) => action(5, text))]), os).values
    const unexplained = explainPcrs(logOf(kept), full, os)
    expect(unexplained.map(({ pcr }) => pcr)).toEqual([5, 5, 5, 5])
    expect(unexplained[0]?.explanation).toEqual({ kind: 'lost-exit-boot-services', actions })
  })

  it('says when the log has no digests for a bank or a record', () => {
    const partial = logOf([separator(2), { ...separator(3), banks: ['sha256'] }])
    const values = parsePcrBanks({ sha1: { 3: 'aa'.repeat(20) } })
    expect(explainPcrs(partial, values)).toEqual([
      { bank: 'sha1', pcr: 3, replayed: undefined, found: 'aa'.repeat(20), explanation: { kind: 'no-digests' } },
    ])
  })

  it('starts from the locality of the log', () => {
    const locality = { pcr: 0, type: 3, data: ascii('StartupLocality\0\x03') }
    const values = replayEventLog(logOf([locality, separator(0)])).values
    expect(explainPcrs(logOf([locality, separator(0)]), values)).toEqual([])
    expect(explainPcrs(logOf([separator(0)]), values).map(({ pcr }) => pcr)).toEqual([0, 0, 0, 0])
  })
})
