import { describe, expect, it } from 'vitest'
import {
  digestsOf,
  HASH_ALGORITHMS,
  parseEventLog,
  parseUserspaceLog,
  replay,
  replayEventLog,
  userspaceExtends,
} from './index.ts'
import {
  agileLog,
  ascii,
  ovmfBoot,
  separator,
  sha1Record,
  startupLocality,
  userspaceRecord,
} from './log-writer.test-support.ts'

const log = parseEventLog(agileLog(ovmfBoot()))

function extend(pcr: number, text: string) {
  return { pcr, digests: digestsOf(HASH_ALGORITHMS, ascii(text)) }
}

describe('replay()', () => {
  it('starts PCRs 17 to 22 with ones and the others with zeros', () => {
    const values = replay([], ['sha1']).values.get('sha1')
    expect(values?.size).toBe(24)
    for (const [pcr, value] of values ?? []) {
      expect(value, `PCR ${pcr}`).toBe((pcr >= 17 && pcr <= 22 ? 'ff' : '00').repeat(20))
    }
  })

  it('extends each bank on its own, in order', () => {
    const forth = replay([extend(8, 'a'), extend(8, 'b')], HASH_ALGORITHMS).values
    const back = replay([extend(8, 'b'), extend(8, 'a')], HASH_ALGORITHMS).values
    for (const bank of HASH_ALGORITHMS) expect(forth.get(bank)?.get(8)).not.toBe(back.get(bank)?.get(8))
  })

  it('has no value where a record lacks the digest of a bank, and names the record', () => {
    const partial = { pcr: 8, digests: digestsOf(['sha1'], ascii('b')) }
    const { values, gaps } = replay([extend(8, 'a'), partial, partial, extend(9, 'c')], ['sha1', 'sha256'])
    expect(gaps).toEqual([{ bank: 'sha256', pcr: 8, recordIndex: 1 }])
    expect(values.get('sha256')?.has(8)).toBe(false)
    expect(values.get('sha256')?.has(9)).toBe(true)
    expect(values.get('sha1')?.has(8)).toBe(true)
  })

  it('ignores PCRs that no TPM has', () => {
    expect(replay([extend(24, 'a'), extend(0xffffffff, 'b')], ['sha256'])).toEqual(replay([], ['sha256']))
  })
})

describe('replayEventLog()', () => {
  const sha256 = replayEventLog(log).values.get('sha256')

  it('gives the values of real firmware where the records are the same', () => {
    for (const pcr of [2, 3, 6]) {
      expect(sha256?.get(pcr)).toBe('3d458cfe55cc03ea1f443f1562beec8df51c75e14a9fcf9a7234a13f198e7969')
    }
    expect(sha256?.get(7)).toBe('b5710bf57d25623e4019027da116821fa99f5c81e9e38b87671cc574f9281439')
    expect(sha256?.get(11)).toBe('37b48bd0b222394dbe3cceff2fca4660c4b0a90ae9369ec90b42f14489989c13')
    expect(sha256?.get(8)).toBe('00'.repeat(32))
  })

  it('goes on with the userspace log', () => {
    const words = [0, 1, 2, 3, 4, 5, 6, 7, 9, 12, 13, 14].map((pcr) =>
      userspaceRecord(pcr, 'os-separator', 'os-separator'),
    )
    const userspace = parseUserspaceLog(ascii([...words, userspaceRecord(11, 'foo')].join('')))
    const values = replayEventLog(log, userspaceExtends(userspace)).values
    for (const pcr of [2, 3, 6]) {
      expect(values.get('sha256')?.get(pcr)).toBe('8d22c738fcd1730fb0789cb09c0f72a0012baa3ea867723b26772c9ca0ae6571')
    }
    for (const pcr of [12, 13, 14]) {
      expect(values.get('sha256')?.get(pcr)).toBe('3345a4e7857aa5ae65e97702ade84a3755fd6144724779536b5773128676c99c')
    }
    expect(values.get('sha256')?.get(7)).toBe('03f359c6155efb9c42dd82c470c66f3579ea5721690787e6b1d3b0ac199ff501')
    expect(values.get('sha1')?.get(11)).toBe('6765ee305db063040c454d32697d922b3d4f232b')
    expect(values.get('sha384')?.get(11)).toMatch(/^08d0b003a134878e/)
  })

  it('never extends EV_NO_ACTION', () => {
    const withNoise = agileLog([...ovmfBoot(), { pcr: 7, type: 3, data: ascii('noise') }])
    expect(replayEventLog(parseEventLog(withNoise)).values).toEqual(replayEventLog(log).values)
  })

  it.for([0, 3, 4])('starts PCR 0 with locality %i, in each bank', (locality) => {
    const parsed = parseEventLog(agileLog([startupLocality(locality)]))
    expect(parsed.startupLocality).toBe(locality)
    const { values } = replayEventLog(parsed)
    for (const [bank, size] of [
      ['sha1', 20],
      ['sha512', 64],
    ] as const) {
      expect(values.get(bank)?.get(0)).toBe(`${'00'.repeat(size - 1)}0${locality}`)
      expect(values.get(bank)?.get(1)).toBe('00'.repeat(size))
    }
  })

  it('takes the first of several localities and says so', () => {
    const parsed = parseEventLog(agileLog([startupLocality(3), startupLocality(4)]))
    expect(parsed.startupLocality).toBe(3)
    expect(parsed.irregularities).toEqual(['2 StartupLocality records; the first one is used'])
  })

  it('knows no locality from a record of another PCR, type or size', () => {
    const { data } = startupLocality(3)
    const parsed = parseEventLog(
      agileLog([
        { pcr: 1, type: 3, data },
        { pcr: 0, type: 4, data },
        { pcr: 0, type: 3, data: Buffer.concat([data, Buffer.of(0)]) },
      ]),
    )
    expect(parsed.startupLocality).toBe(0)
  })

  it('replays a SHA-1 log in its one bank', () => {
    const parsed = parseEventLog(Buffer.concat(ovmfBoot().map(sha1Record)))
    expect([...replayEventLog(parsed).values.keys()]).toEqual(['sha1'])
    expect(replayEventLog(parsed).values.get('sha1')).toEqual(replayEventLog(log).values.get('sha1'))
  })

  it('reports a bank that a record left out', () => {
    const parsed = parseEventLog(agileLog([separator(2), { ...separator(3), banks: ['sha256'] }]))
    const { values, gaps } = replayEventLog(parsed)
    expect(gaps.map(({ bank, pcr }) => [bank, pcr])).toEqual([
      ['sha1', 3],
      ['sha384', 3],
      ['sha512', 3],
    ])
    expect(values.get('sha256')?.get(3)).toBe(values.get('sha256')?.get(2))
  })
})
