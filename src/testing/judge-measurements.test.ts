import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  actualEvents,
  eventsAsPredicted,
  type PcrBanks,
  parseEventLog,
  parsePcrBanks,
  parseUserspaceLog,
} from '../measure/index.ts'
import { judgeMeasurements, type Measurements } from './judge-measurements.ts'

const FIXTURES = join(import.meta.dirname, '../measure/prediction/fixtures/minimal')
const recorded = (name: string) => readFileSync(join(FIXTURES, name))

const log = parseEventLog(recorded('event-log.bin'))
const userspaceLog = parseUserspaceLog(recorded('tpm2-measure.log'))
const pcrs = parsePcrBanks(JSON.parse(recorded('pcrs.json').toString()))
const boot: Measurements = { pcrs, hostPcrs: pcrs, log, userspaceLog }
const predicted = eventsAsPredicted(actualEvents(log, userspaceLog))

describe('judgeMeasurements()', () => {
  it('finds nothing wrong with a boot that is as predicted', () => {
    expect(judgeMeasurements(predicted, boot)).toEqual({
      wrong: [],
      right: [
        `${predicted.length} events in sha256`,
        expect.stringMatching(/^23 PCR values replay from 5\d firmware and 19 userspace records$/),
        '24 PCR values are those that the host saw',
      ],
    })
  })

  it('says what was measured otherwise, from what to what', () => {
    const phase = predicted.findIndex(({ what }) => what === 'sysinit')
    const bytes = Buffer.from('another phase')
    const events = predicted.map((event, index) => {
      return index === phase ? { ...event, measured: { kind: 'bytes', bytes } as const } : event
    })
    expect(judgeMeasurements(events, boot).wrong).toEqual([
      expect.stringMatching(/^PCR 11 different: sysinit: expected "another phase", found "sysinit"; /),
    ])
  })

  it('says which event is missing, and which one nobody predicted', () => {
    const last = predicted.at(-1)
    expect(judgeMeasurements(predicted.slice(0, -1), boot).wrong).toEqual([
      expect.stringMatching(new RegExp(`^PCR ${last?.pcr} unexpected: .*: measured, but not predicted; sha256 `)),
    ])
    expect(judgeMeasurements([...predicted, { ...predicted[0], pcr: 13 } as never], boot).wrong).toEqual([
      expect.stringMatching(/^PCR 13 missing: .*: predicted, but not measured; /),
    ])
  })

  it('lists what could not be predicted, and holds', () => {
    const events = predicted.map((event) => {
      const isInitrd = event.pcr === 9 && event.what.startsWith('Linux initrd')
      return isInitrd ? { ...event, measured: { kind: 'unknown', why: 'it has a secret' } as const } : event
    })
    const { wrong, right } = judgeMeasurements(events, boot)
    expect(wrong).toEqual([])
    expect(right[1]).toMatch(/^besides PCR 9: .*it has a secret/)
  })

  it('names a PCR that the logs do not lead to', () => {
    const values = new Map([...(pcrs.get('sha256') ?? [])]).set(7, 'ab'.repeat(32))
    const other: PcrBanks = new Map([['sha256', values]])
    const { wrong } = judgeMeasurements(predicted, { ...boot, pcrs: other, hostPcrs: other })
    expect(wrong).toEqual([expect.stringMatching(/^PCR 7 \(sha256\) is not what the event logs lead to \(unknown\): /)])
  })

  it('names a PCR of which the host saw something else', () => {
    const values = new Map([...(pcrs.get('sha256') ?? [])]).set(14, 'ab'.repeat(32))
    const { wrong } = judgeMeasurements(predicted, { ...boot, hostPcrs: new Map([['sha256', values]]) })
    expect(wrong).toEqual([
      expect.stringMatching(/^PCR 14 \(sha256\): the host saw what leads to abab.*, the guest shows [0-9a-f]{64}$/),
    ])
  })

  it('never finds right what could not be compared', () => {
    expect(judgeMeasurements(undefined, boot).wrong).toEqual(['there is no image to predict the events from'])
    expect(judgeMeasurements(predicted, { ...boot, log: undefined }).wrong).not.toEqual([])
    expect(judgeMeasurements([], boot).wrong).not.toEqual([])
  })
})
