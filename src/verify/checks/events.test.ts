import { describe, expect, it } from 'vitest'
import { digestsOf, type PredictedEvent } from '../../measure/index.ts'
import { asking, TPM } from '../guest.test-support.ts'
import { eventsAsPredicted } from './events.ts'

const FIRMWARE_LOG = '/sys/kernel/security/tpm0/binary_bios_measurements'
const USERSPACE_LOG = '/run/log/systemd/tpm2-measure.log'
const IPL = 0xd

const sha256 = (text: string) => digestsOf(['sha256'], Buffer.from(text)).get('sha256') ?? Buffer.alloc(0)
const u16 = (value: number) => Buffer.from(Uint16Array.of(value).buffer)
const u32 = (value: number) => Buffer.from(Uint32Array.of(value).buffer)

type Logged = readonly [pcr: number, text: string]

/** A log of the crypto-agile format (TCG PC Client Platform Firmware Profile, 10.2) with one bank. */
function firmwareLog(records: readonly Logged[]): Buffer {
  const specId = [
    Buffer.from('Spec ID Event03\0'),
    u32(0),
    Buffer.of(0, 2, 0, 2),
    u32(1),
    u16(0x0b),
    u16(32),
    Buffer.of(0),
  ]
  const first = Buffer.concat(specId)
  const rest = records.map(([pcr, text]) => {
    const head = [u32(pcr), u32(IPL), u32(1), u16(0x0b), sha256(text), u32(text.length)]
    return Buffer.concat([...head, Buffer.from(text)])
  })
  return Buffer.concat([u32(0), u32(3), Buffer.alloc(20), u32(first.length), first, ...rest])
}

function word(pcr: number, string: string): string {
  const digests = [{ hashAlg: 'sha256', digest: Buffer.from(sha256(string)).toString('hex') }]
  return `\x1e${JSON.stringify({ pcr, digests, content_type: 'systemd', content: { eventType: 'phase', string } })}\n`
}

const event = (pcr: number, text: string, more: Partial<PredictedEvent> = {}): PredictedEvent => {
  const measured = { kind: 'bytes', bytes: Buffer.from(text) } as const
  return { pcr, type: IPL, by: 'boot-loader', what: `the ${text}`, measured, ...more }
}

const predicted = [
  event(4, 'loader'),
  event(9, 'initrd', { measured: { kind: 'unknown', why: 'it has a secret' } }),
  event(11, 'ready', { type: 'word', by: 'system' }),
]
const RIGHT: readonly [Logged, Logged] = [
  [4, 'loader'],
  [9, 'secret'],
]

function ask(records: readonly Logged[], words: string, events: readonly PredictedEvent[] = predicted) {
  const files = { [TPM]: '', [FIRMWARE_LOG]: firmwareLog(records), [USERSPACE_LOG]: words }
  return asking(eventsAsPredicted, { files }, { prediction: { pcr11: new Map(), sections: [], events } })
}

describe('events', () => {
  it('passes when all that is known is as predicted, and counts by PCR', async () => {
    const result = await ask([...RIGHT], word(11, 'ready'))
    expect(result).toMatchObject({ status: 'passed' })
    expect(result.evidence[0]).toBe('2 events are as predicted in sha256; 1 cannot be predicted')
    expect(result.evidence[1]).toContain('it has a secret')
    expect(result.counts).toMatchObject({
      4: { predicted: 1, actual: 1, equal: 1, unknown: 0 },
      9: { predicted: 1, equal: 0, unknown: 1 },
      11: { predicted: 1, equal: 1, different: 0, missing: 0, unexpected: 0 },
    })
  })

  it('says what was measured otherwise, beside what was predicted', async () => {
    const result = await ask([[4, 'lawyer'], RIGHT[1]], word(11, 'ready'))
    expect(result.status).toBe('failed')
    expect(result.found).toMatch(/^PCR 4 different: the loader/)
    expect(result.counts?.[4]).toMatchObject({ equal: 0, different: 1 })
  })

  it('fails for what is missing, and for what is measured besides', async () => {
    expect((await ask([RIGHT[1]], word(11, 'ready'))).found).toMatch(/^PCR 4 missing: the loader/)
    expect((await ask([...RIGHT], '')).found).toMatch(/^PCR 11 missing: the ready/)
    const more = await ask([...RIGHT, [12, 'surprise']], word(11, 'ready'))
    expect(more).toMatchObject({ status: 'failed', found: expect.stringMatching(/^PCR 12 unexpected: .*surprise/) })
  })

  it('leaves PCRs 16 and above to whoever runs in the system', async () => {
    expect((await ask([...RIGHT], `${word(11, 'ready')}${word(23, 'application')}`)).status).toBe('passed')
  })

  it('fails when nothing was predicted, or nothing could be: nothing was compared', async () => {
    expect((await ask([], '', [])).status).toBe('failed')
    expect(await ask([RIGHT[1]], '', predicted.slice(1, 2))).toMatchObject({
      status: 'failed',
      found: 'no event that could be predicted',
    })
  })

  it('is unsupported without a TPM', async () => {
    expect((await asking(eventsAsPredicted, {})).status).toBe('unsupported')
  })
})
