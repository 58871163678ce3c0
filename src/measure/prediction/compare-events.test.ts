import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  type ActualEvent,
  actualEvents,
  compareEventLogs,
  compareEvents,
  digestsOf,
  type EventFinding,
  EXIT_BOOT_SERVICES_RETRY,
  eventsAsPredicted,
  HASH_ALGORITHMS,
  type HashAlgorithm,
  type PredictedEvent,
  parseEventLog,
  parseUserspaceLog,
  summarizeFindings,
} from '../index.ts'
import {
  action,
  agileLog,
  ascii,
  type LoggedEvent,
  ovmfBoot,
  tagged,
  u16z,
  userspaceRecord,
} from '../log-writer.test-support.ts'
import { altered, logged, moved, notEqual, told } from './compare-events.test-support.ts'

function recorded(image: string): ActualEvent[] {
  const directory = join(import.meta.dirname, 'fixtures', image)
  return actualEvents(
    parseEventLog(readFileSync(join(directory, 'event-log.bin'))),
    parseUserspaceLog(readFileSync(join(directory, 'tpm2-measure.log'))),
  )
}

const sources: readonly (readonly [string, ActualEvent[], readonly HashAlgorithm[]])[] = [
  ['minimal, recorded', recorded('minimal'), ['sha256']],
  ['cloud, recorded', recorded('cloud'), ['sha256']],
  [
    'four banks, written',
    logged(ovmfBoot(), userspaceRecord(11, 'enter-initrd') + userspaceRecord(15, 'x')),
    HASH_ALGORITHMS,
  ],
]

describe.for(sources)('compareEvents() of a log and the prediction made of itself: %s', ([_, actual, banks]) => {
  const predicted = eventsAsPredicted(actual)
  const sameDigest = (a?: ActualEvent, b?: ActualEvent): boolean =>
    Buffer.compare(a?.digests.get('sha256') ?? Buffer.of(), b?.digests.get('sha256') ?? Buffer.of()) === 0
  /** Positions of the other records of its PCR. */
  const inPcr = (pcr: number | undefined): number[] => [...actual.keys()].filter((index) => actual[index]?.pcr === pcr)

  it('is equal throughout, in the order of PCRs', () => {
    const findings = compareEvents(predicted, actual, banks)
    expect(findings.map(({ status, cause }) => `${status}${cause}`)).toEqual(actual.map(() => 'equal'))
    expect(findings.map(({ pcr }) => pcr)).toEqual(actual.map(({ pcr }) => pcr).sort((a, b) => a - b))
    expect(
      findings.every(
        (finding) => finding.actual?.record === actual[predicted.indexOf(finding.predicted as PredictedEvent)]?.record,
      ),
    ).toBe(true)
  })

  it('misses each record that is dropped, there and nowhere else', () => {
    for (const [index, event] of actual.entries()) {
      const findings = notEqual(compareEvents(predicted, actual.toSpliced(index, 1), banks))
      expect(findings.map(({ status, pcr }) => [status, pcr])).toEqual([['missing', event.pcr]])
      expect(sameDigest(actual[predicted.indexOf(findings[0]?.predicted as PredictedEvent)], event)).toBe(true)
    }
  })

  it('finds each record that is inserted, in its place', () => {
    for (const [index, event] of actual.entries()) {
      const inserted = altered(event)
      const findings = compareEvents(predicted, actual.toSpliced(index, 0, inserted), banks)
      expect(notEqual(findings).map(({ status, actual: found }) => [status, found])).toEqual([['unexpected', inserted]])
      const at = findings.findIndex(({ actual: found }) => found === inserted)
      expect(findings[at + 1]?.actual).toBe(event)
    }
  })

  it('tells each record that is altered from all others', () => {
    for (const [index, event] of actual.entries()) {
      const findings = notEqual(compareEvents(predicted, actual.with(index, altered(event)), banks))
      expect(findings).toMatchObject([{ status: 'different', pcr: event.pcr, predicted: predicted[index] }])
    }
  })

  it('says of records of a PCR in another order just that', () => {
    for (const [index, event] of actual.entries()) {
      const others = inPcr(event.pcr)
      const next = others[others.indexOf(index) + 1]
      if (next === undefined || sameDigest(actual[next], event)) continue
      const findings = notEqual(compareEvents(predicted, moved(actual, index, next), banks))
      expect(findings.map(({ status }) => status).sort()).toEqual(['missing', 'unexpected'])
      expect(findings.map(({ pcr }) => pcr)).toEqual([event.pcr, event.pcr])
      for (const { cause } of findings) expect(cause).toMatch(/out of order, (later|earlier) than predicted/)
      const [missing, unexpected] = findings.toSorted((a, b) => a.status.localeCompare(b.status))
      expect(sameDigest(actual[predicted.indexOf(missing?.predicted as PredictedEvent)], unexpected?.actual)).toBe(true)
    }
  })

  it('keeps two that change places in their PCR', () => {
    for (const pcr of new Set(actual.map((event) => event.pcr))) {
      const positions = inPcr(pcr)
      const [first, last] = [positions[0] ?? 0, positions.at(-1) ?? 0]
      const [a, b] = [actual[first], actual[last]]
      if (a === undefined || b === undefined || sameDigest(a, b)) continue
      const findings = notEqual(compareEvents(predicted, actual.with(first, b).with(last, a), banks))
      expect(new Set(findings.map((finding) => finding.pcr))).toEqual(new Set([pcr]))
      const touched = findings.flatMap((finding) => [finding.actual, finding.actual]).filter((one) => one !== undefined)
      expect(touched.every((one) => sameDigest(one, a) || sameDigest(one, b) || positions.length < 4)).toBe(true)
    }
  })

  it('names the PCR into which a record went instead', () => {
    const index = actual.findIndex(({ pcr }) => pcr === 11)
    const stray = { ...(actual[index] as ActualEvent), pcr: 12 }
    const findings = notEqual(compareEvents(predicted, actual.with(index, stray), banks))
    expect(findings).toMatchObject([
      { pcr: 11, status: 'missing', cause: expect.stringContaining('measured into PCR 12 instead') },
      { pcr: 12, status: 'unexpected', cause: expect.stringContaining('belongs into PCR 11') },
    ])
  })
})

describe('compareEvents() decides by digests', () => {
  const actual = logged(ovmfBoot())
  const predicted = eventsAsPredicted(actual)

  it.for(HASH_ALGORITHMS)('in every bank: %s alone is another one', (bank) => {
    const event = actual[20] as ActualEvent
    const digests = new Map(event.digests).set(
      bank,
      (event.digests.get(bank) ?? Buffer.of()).map((byte) => byte ^ 1),
    )
    const others = HASH_ALGORITHMS.filter((name) => name !== bank).reverse()
    const findings = compareEvents(predicted, actual.with(20, { ...event, digests }), HASH_ALGORITHMS)
    expect(told(findings)).toEqual([
      expect.stringMatching(
        new RegExp(
          `expected ${bank} .*${others.join(', ')} as predicted: the banks were not extended by the same bytes`,
        ),
      ),
    ])
    expect(told(compareEvents(predicted, actual.with(20, { ...event, digests }), others))).toEqual([])
  })

  it('and a record without one for a bank is not as predicted', () => {
    const event = actual[20] as ActualEvent
    const digests = new Map([...event.digests].filter(([bank]) => bank !== 'sha384'))
    const findings = compareEvents(predicted, actual.with(20, { ...event, digests }), HASH_ALGORITHMS)
    expect(told(findings)).toEqual([expect.stringContaining('but the record has no sha384 digest')])
  })

  it('and takes two records with the same gap for the same', () => {
    const events = ovmfBoot().map((event, index) =>
      index % 2 === 0 ? event : { ...event, banks: ['sha256'] as const },
    )
    const log = parseEventLog(agileLog(events))
    expect(told(compareEventLogs({ log }, { log }))).toEqual([])
    const whole = parseEventLog(agileLog(ovmfBoot()))
    expect(compareEventLogs({ log: whole }, { log }).map(({ status }) => status)).toContain('different')
  })

  it('and not by type or data: those are remarks', () => {
    const index = actual.findIndex(({ type }) => type === 0xd)
    const event = actual[index]
    if (event === undefined || event.type === 'word') throw new Error('no EV_IPL')
    const record = { ...event.record, unverifiedData: u16z('.innocent') }
    expect(compareEvents(predicted, actual.with(index, { ...event, record }), ['sha256'])).toContainEqual(
      expect.objectContaining({
        status: 'equal',
        cause: 'name of section .linux: measured as predicted, but recorded as ".innocent", not ".linux"',
      }),
    )
    const findings = compareEvents(predicted, actual.with(index, { ...event, type: 0x80000007 }), ['sha256'])
    expect(notEqual(findings)).toEqual([])
    expect(findings).toContainEqual(
      expect.objectContaining({ cause: expect.stringContaining('recorded as EV_EFI_ACTION, not EV_IPL') }),
    )
  })

  it('and needs a bank', () => {
    expect(() => compareEvents(predicted, actual, [])).toThrow('no PCR bank')
  })
})

describe('what cannot be known', () => {
  const unknown = (facts: Partial<PredictedEvent>): PredictedEvent => {
    return { pcr: 9, type: 6, by: 'kernel', what: 'initrd', measured: { kind: 'unknown', why: 'a secret' }, ...facts }
  }
  const record = (text: string, hashed = text): LoggedEvent => {
    return { pcr: 9, type: 6, data: tagged(1, ascii(text)), hashed: ascii(hashed) }
  }

  it('is any record of its type', () => {
    const findings = compareEvents([unknown({})], logged([record('whatever')]), HASH_ALGORITHMS)
    expect(told(findings)).toEqual([
      expect.stringMatching(
        /^9 unknown: initrd: cannot be known before the boot: a secret; found sha512 [0-9a-f]{16}…$/,
      ),
    ])
    expect(told(compareEvents([unknown({})], logged([action(9, 'x')]), HASH_ALGORITHMS))).toEqual([
      expect.stringMatching(/^9 missing: initrd: predicted, but not measured/),
      expect.stringMatching(/^9 unexpected: EV_EFI_ACTION "x": measured, but not predicted; sha512/),
    ])
  })

  it('is not a record that says that it is another thing', () => {
    const data = tagged(1, ascii('initrd'))
    expect(told(compareEvents([unknown({ data })], logged([record('initrd')]), ['sha256']))[0]).toContain('unknown')
    expect(told(compareEvents([unknown({ data })], logged([record('else')]), ['sha256']))[0]).toContain('different')
  })

  it('leaves the records around it to be compared', () => {
    const around = eventsAsPredicted(logged([record('before'), record('after')]))
    const predicted = around.toSpliced(1, 0, unknown({}))
    const actual = logged([record('before'), record('secret'), record('after', 'changed')])
    expect(compareEvents(predicted, actual, ['sha256']).map(({ status }) => status)).toEqual([
      'equal',
      'unknown',
      'different',
    ])
    const dropped = logged([record('before'), record('after')])
    expect(compareEvents(predicted, dropped, ['sha256']).map(({ status }) => status)).toEqual([
      'equal',
      'missing',
      'equal',
    ])
  })

  it('may stand for several records in a row, which are one prediction', () => {
    const last = eventsAsPredicted(logged([record('last')]))
    const findings = compareEvents(
      [unknown({ standsFor: 'several' }), ...last],
      logged([record('a'), record('b'), record('c'), record('last')]),
      ['sha256'],
    )
    expect(findings.map(({ status }) => status)).toEqual(['unknown', 'unknown', 'unknown', 'equal'])
    expect(summarizeFindings(findings).get(9)).toMatchObject({ predicted: 2, unknown: 3, equal: 1 })
  })

  it('may stand for anything, or nothing', () => {
    const anything = unknown({ type: 'word', standsFor: 'anything' })
    const actual = logged([action(9, 'a'), record('b')])
    expect(compareEvents([anything], actual, ['sha256']).map(({ status }) => status)).toEqual(['unknown', 'unknown'])
    expect(told(compareEvents([anything], [], ['sha256']))).toEqual([
      '9 unknown: initrd: nothing was measured (a secret)',
    ])
  })

  it('includes a bank in which there is no prediction', () => {
    const digests = new Map([
      ['sha256', Buffer.from(digestsOf(['sha256'], ascii('x')).get('sha256') ?? []).toString('hex')],
    ] as const)
    const partly = unknown({ measured: { kind: 'digests', digests } })
    expect(compareEvents([partly], logged([record('x')]), ['sha256'])).toMatchObject([{ status: 'equal' }])
    expect(told(compareEvents([partly], logged([record('x')]), ['sha1', 'sha256']))).toEqual([
      expect.stringMatching(/^9 unknown: initrd: no sha1 digest of it is known; found sha256/),
    ])
    expect(compareEvents([partly], logged([record('x', 'y')]), ['sha1', 'sha256'])).toMatchObject([
      { status: 'different' },
    ])
  })
})

describe('events of a group', () => {
  const [invocation, failure, success] = ['Invocation', 'Returned with Failure', 'Returned with Success'].map((text) =>
    action(5, `Exit Boot Services ${text}`),
  ) as [LoggedEvent, LoggedEvent, LoggedEvent]
  const long = [invocation, failure, invocation, success]
  const predicted = eventsAsPredicted(logged(long)).map((event, index): PredictedEvent => {
    return index === 1 || index === 2 ? { ...event, group: EXIT_BOOT_SERVICES_RETRY } : event
  })

  it('happen all or not at all', () => {
    expect(compareEvents(predicted, logged(long), HASH_ALGORITHMS).map(({ status }) => status)).toEqual(
      long.map(() => 'equal'),
    )
    const findings = compareEvents(predicted, logged([invocation, success]), HASH_ALGORITHMS)
    expect(findings.map(({ status }) => status)).toEqual(['equal', 'equal'])
    expect(summarizeFindings(findings).get(5)?.predicted).toBe(2)
  })

  it('and not in part', () => {
    const findings = compareEvents(predicted, logged([invocation, failure, success]), HASH_ALGORITHMS)
    expect(notEqual(findings)).toMatchObject([{ status: 'missing', pcr: 5 }])
  })
})

describe('hostile logs', () => {
  const many = (count: number, first: number): ActualEvent[] =>
    Array.from({ length: count }, (_, index): ActualEvent => {
      const digest = Buffer.alloc(32)
      digest.writeUInt32LE(first + index)
      const record = {
        index,
        offset: 0,
        pcr: 8,
        untrustedType: 0xd,
        digests: new Map([['sha256', digest]] as const),
        otherDigests: new Map(),
        unverifiedData: u16z('x'),
      }
      return { pcr: 8, type: 0xd, digests: record.digests, record }
    })
  const statuses = (findings: readonly EventFinding[]): Record<string, number> =>
    Object.fromEntries(Object.entries(summarizeFindings(findings).get(8) ?? {}).filter(([, count]) => count > 0))

  it('of 100,000 records are compared record by record where one was altered, dropped or inserted', () => {
    const actual = many(100_000, 0)
    const predicted = eventsAsPredicted(actual)
    const [one] = many(1, 5_000_000)
    if (one === undefined) throw new Error('no record')
    expect(statuses(compareEvents(predicted, actual.with(70_000, one), ['sha256']))).toEqual({
      predicted: 100_000,
      actual: 100_000,
      equal: 99_999,
      different: 1,
    })
    expect(statuses(compareEvents(predicted, actual.toSpliced(70_000, 1), ['sha256']))).toMatchObject({ missing: 1 })
    expect(statuses(compareEvents(predicted, actual.toSpliced(9, 0, one), ['sha256']))).toMatchObject({ unexpected: 1 })
  })

  it('that differ throughout are paired by position, or not at all, instead of without end', () => {
    const predicted = eventsAsPredicted(many(5_000, 0))
    expect(statuses(compareEvents(predicted, many(5_000, 30_000), ['sha256']))).toEqual({
      predicted: 5_000,
      actual: 5_000,
      different: 5_000,
    })
    expect(statuses(compareEvents(predicted, many(5_001, 30_000), ['sha256']))).toEqual({
      predicted: 5_000,
      actual: 5_001,
      missing: 5_000,
      unexpected: 5_001,
    })
  })

  it('cost no more when all records are the same one', () => {
    const [one] = many(1, 0)
    const [other] = many(1, 1)
    if (one === undefined || other === undefined) throw new Error('no record')
    const predicted = eventsAsPredicted(Array.from({ length: 50_000 }, () => one))
    const actual = [other, ...Array.from({ length: 49_000 }, () => one), other]
    const counts = statuses(compareEvents(predicted, actual, ['sha256']))
    expect(counts.predicted).toBe(50_000)
  })
})
