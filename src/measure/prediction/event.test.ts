import { describe, expect, it } from 'vitest'
import { digestsOf, replay } from '../index.ts'
import { ascii } from '../log-writer.test-support.ts'
import { type PredictedEvent, predictPcrs } from './event.ts'

const SEPARATOR_ONLY = '3d458cfe55cc03ea1f443f1562beec8df51c75e14a9fcf9a7234a13f198e7969'

function event(pcr: number, text: string | Uint8Array, more: Partial<PredictedEvent> = {}): PredictedEvent {
  const bytes = typeof text === 'string' ? ascii(text) : text
  return { pcr, type: 'word', by: 'system', what: `event "${text}"`, measured: { kind: 'bytes', bytes }, ...more }
}

function values(events: readonly PredictedEvent[], pcr: number): readonly string[] {
  const predicted = predictPcrs(events, ['sha256']).get('sha256')?.get(pcr)
  return predicted?.kind === 'known' ? predicted.values : []
}

describe('predictPcrs()', () => {
  it('gives all 24 PCRs of each bank their initial values when nothing is measured', () => {
    const pcrs = predictPcrs([], ['sha1', 'sha512'])
    expect([...pcrs.keys()]).toEqual(['sha1', 'sha512'])
    expect([...(pcrs.get('sha1')?.keys() ?? [])]).toEqual(Array.from({ length: 24 }, (_, pcr) => pcr))
    expect(pcrs.get('sha1')?.get(16)).toEqual({ kind: 'known', values: ['00'.repeat(20)] })
    expect(pcrs.get('sha1')?.get(17)).toEqual({ kind: 'known', values: ['ff'.repeat(20)] })
    expect(pcrs.get('sha512')?.get(22)).toEqual({ kind: 'known', values: ['ff'.repeat(64)] })
    expect(pcrs.get('sha512')?.get(23)).toEqual({ kind: 'known', values: ['00'.repeat(64)] })
  })

  it('gives the known value of a PCR that has a separator only', () => {
    expect(values([event(3, Buffer.alloc(4))], 3)).toEqual([SEPARATOR_ONLY])
  })

  it('hashes bytes and takes digests as they are, to the same value in each bank', () => {
    const banks = ['sha1', 'sha256', 'sha384', 'sha512'] as const
    const digests = new Map(
      [...digestsOf(banks, ascii('b'))].map(([bank, d]) => [bank, Buffer.from(d).toString('hex')]),
    )
    const predicted = predictPcrs(
      [event(4, 'a'), event(5, 'else'), event(4, 'b', { measured: { kind: 'digests', digests } })],
      banks,
    )
    const records = ['a', 'b'].map((text) => ({ pcr: 4, digests: digestsOf(banks, ascii(text)) }))
    const replayed = replay(records, banks).values
    for (const bank of banks) {
      expect(predicted.get(bank)?.get(4)).toEqual({ kind: 'known', values: [replayed.get(bank)?.get(4)] })
    }
  })

  it('gives one value for each choice of a group', () => {
    const plain = values([event(5, 'call'), event(5, 'success')], 5)
    const failed = values([event(5, 'call'), event(5, 'failure'), event(5, 'call'), event(5, 'success')], 5)
    const both = [
      event(5, 'call'),
      event(5, 'failure', { group: 'retry' }),
      event(5, 'call', { group: 'retry' }),
      event(5, 'success'),
    ]
    expect(values(both, 5)).toEqual([...plain, ...failed])
    expect(values([...both, event(5, 'x', { group: 'x' })], 5)).toHaveLength(4)
  })

  it('refuses more groups than a boot can have', () => {
    const events = Array.from({ length: 9 }, (_, index) => event(5, 'x', { group: `g${index}` }))
    expect(() => predictPcrs(events, ['sha256'])).toThrow('PCR 5 has 9 groups')
  })

  it('says why a PCR is unknown, and leaves the others alone', () => {
    const why = 'the boot secret is made in the first boot'
    const predicted = predictPcrs(
      [
        event(9, 'a', { what: 'initrd', measured: { kind: 'unknown', why } }),
        event(9, 'b'),
        event(9, 'c', { what: 'other', measured: { kind: 'digests', digests: new Map([['sha1', '00'.repeat(20)]]) } }),
        event(3, Buffer.alloc(4)),
      ],
      ['sha256'],
    ).get('sha256')
    expect(predicted?.get(9)).toEqual({
      kind: 'unknown',
      why: [`initrd: ${why}`, 'other: there is no sha256 digest of it'],
    })
    expect(predicted?.get(3)).toEqual({ kind: 'known', values: [SEPARATOR_ONLY] })
  })
})
