import { describe, expect, it } from 'vitest'
import { checkEventData, isErrorSeparator, parseEventLog, type TcgEvent, unverifiedTaggedEvent } from './index.ts'
import {
  agileLog,
  ascii,
  type LoggedEvent,
  ovmfBoot,
  separator,
  tagged,
  u32,
  variable,
} from './log-writer.test-support.ts'

function parsed(event: LoggedEvent): TcgEvent {
  const found = parseEventLog(agileLog([event])).events[1]
  if (found === undefined) throw new Error('the log has no such record')
  return found
}

const guid = '8be4df61-93ca-11d2-aa0d-00e098032b8c'

describe('checkEventData()', () => {
  it('verifies a real boot, but for what the data only describes', () => {
    const [, ...events] = parseEventLog(agileLog(ovmfBoot())).events
    const byType = new Map(events.map((event) => [event.untrustedType, checkEventData(event)]))
    expect(Object.fromEntries(byType)).toEqual({
      4: 'verified',
      6: 'description',
      8: 'verified',
      10: 'description',
      13: 'description',
      2147483649: 'verified',
      2147483650: 'verified',
      2147483655: 'verified',
      2147483656: 'description',
    })
  })

  it('finds data that was changed after it was measured', () => {
    expect(checkEventData(parsed({ pcr: 4, type: 0x80000007, data: ascii('evil'), hashed: ascii('good') }))).toBe(
      'contradicted',
    )
  })

  it('takes one wrong bank for a contradiction', () => {
    const event = parsed(separator(1))
    const digests = new Map(event.digests).set('sha384', new Uint8Array(48))
    expect(checkEventData({ ...event, digests })).toBe('contradicted')
  })

  it('accepts a boot variable hashed as a value or as a structure, and nothing else', () => {
    const data = variable(guid, 'Boot0000', ascii('option'))
    const check = (hashed: Buffer) => checkEventData(parsed({ pcr: 1, type: 0x80000002, data, hashed }))
    expect(check(ascii('option'))).toBe('verified')
    expect(check(data)).toBe('verified')
    expect(check(ascii('other'))).toBe('contradicted')
  })

  it('accepts the byte that older shims log behind an authority, but no second one', () => {
    const hashed = variable(guid, 'Shim', ascii('certificate'))
    const check = (...more: number[]) =>
      checkEventData(parsed({ pcr: 7, type: 0x800000e0, data: Buffer.concat([hashed, Buffer.from(more)]), hashed }))
    expect([check(), check(0), check(0, 0)]).toEqual(['verified', 'verified', 'contradicted'])
  })

  it('survives a boot variable whose lengths are lies', () => {
    const data = Buffer.concat([variable(guid, 'B').subarray(0, 16), Buffer.alloc(16, 0xff)])
    expect(checkEventData(parsed({ pcr: 1, type: 0x80000002, data, hashed: ascii('x') }))).toBe('contradicted')
  })
})

it('isErrorSeparator() knows the old and the new error value', () => {
  expect(isErrorSeparator(parsed(separator(1)))).toBe(false)
  expect(isErrorSeparator(parsed({ pcr: 1, type: 4, data: u32(0xffffffff) }))).toBe(true)
  expect(isErrorSeparator(parsed({ pcr: 1, type: 4, data: u32(1) }))).toBe(true)
  expect(isErrorSeparator(parsed({ pcr: 1, type: 5, data: u32(1) }))).toBe(false)
})

it('unverifiedTaggedEvent() gives tag and bytes, and nothing for what is none', () => {
  const found = unverifiedTaggedEvent(parsed({ pcr: 5, type: 6, data: tagged(0xf5bc582a, ascii('x')) }))
  expect(found?.id).toBe(0xf5bc582a)
  expect(Buffer.from(found?.bytes ?? []).toString()).toBe('x')
  expect(
    unverifiedTaggedEvent(parsed({ pcr: 5, type: 6, data: Buffer.concat([u32(1), u32(0xffffffff)]) })),
  ).toBeUndefined()
  expect(unverifiedTaggedEvent(parsed({ pcr: 5, type: 4, data: tagged(1, ascii('x')) }))).toBeUndefined()
})
