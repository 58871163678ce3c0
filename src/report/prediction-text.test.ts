import { describe, expect, it } from 'vitest'
import type { PredictedEvent } from '../measure/index.ts'
import { isComplete, type PredictedMachine, predictionJson, predictionText } from './prediction-text.ts'

const bytes = (text: string) => ({ kind: 'bytes', bytes: Buffer.from(text) }) as const
const separator: PredictedEvent = { pcr: 5, type: 4, by: 'firmware', what: 'separator', measured: bytes('\0\0\0\0') }
const again: PredictedEvent = {
  pcr: 5,
  type: 0x80000007,
  by: 'firmware',
  what: 'retry',
  measured: bytes('x'),
  group: 'retry',
}
const secret: PredictedEvent = {
  pcr: 9,
  type: 6,
  by: 'kernel',
  what: 'initrd',
  measured: { kind: 'unknown', why: 'it is made up' },
}

function about(...events: PredictedEvent[]): PredictedMachine {
  const image = { name: 'cloud', version: '1', identity: 'abc' }
  const machine = { image, firmware: 'plain', cloud: 'aws', banks: ['sha1', 'sha256'], commandLine: 'rw' } as const
  return { ...machine, events, refusal: undefined }
}

describe('predictionText()', () => {
  it('shows each PCR in every bank, what it is made of, and each value that it may have', () => {
    const text = predictionText(about(separator, again))
    expect(text).toMatch(
      /^PCR 5\n {2}sha1 {2}[0-9a-f]{40} or [0-9a-f]{40}\n {2}sha256 {2}[0-9a-f]{64} or [0-9a-f]{64}$/m,
    )
    expect(text).toMatch(/^ {4}df3f619804a92fdb {2}firmware {5}separator$/m)
    expect(text).toMatch(/retry {2}\(perhaps\)$/m)
    expect(text).toContain('Everything is known.')
  })

  it('says first that the image will not boot', () => {
    const refusal = {
      by: 'firmware',
      because: 'secure-boot',
      image: 'EFI/BOOT/BOOTX64.EFI',
      why: 'it is not signed',
    } as const
    const refused = { ...about(separator), refusal }
    expect(predictionText(refused)).toContain(
      'It will not boot: the firmware refuses EFI/BOOT/BOOTX64.EFI because of secure-boot: it is not signed.',
    )
    expect(predictionJson(refused)).toMatchObject({ refusal })
    expect(predictionJson(about(separator))).toMatchObject({ refusal: null })
  })

  it('says what cannot be known, and why', () => {
    const text = predictionText(about(separator, secret))
    expect(text).toMatch(/^PCR 9\n {2}sha1 {2}unknown\n {2}sha256 {2}unknown$/m)
    expect(text).toContain('  PCR 9  initrd: it is made up\n')
    expect(isComplete(about(separator))).toBe(true)
    expect(isComplete(about(separator, secret))).toBe(false)
  })
})

describe('predictionJson()', () => {
  it('has the same as data', () => {
    expect(predictionJson(about({ ...separator, isCalibrated: true }, again, secret))).toMatchObject({
      schema: 1,
      cloud: 'aws',
      isComplete: false,
      events: [
        { pcr: 5, type: 'EV_SEPARATOR', digests: { sha256: expect.stringMatching(/^df3f6198/) }, isCalibrated: true },
        { type: 'EV_EFI_ACTION', group: 'retry' },
        { pcr: 9, unknown: 'it is made up' },
      ],
      pcrs: {
        sha256: {
          0: { values: ['00'.repeat(32)] },
          5: { values: [expect.any(String), expect.any(String)] },
          9: { unknown: ['initrd: it is made up'] },
          17: { values: ['ff'.repeat(32)] },
        },
      },
    })
  })
})
