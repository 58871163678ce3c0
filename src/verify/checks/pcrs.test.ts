import { describe, expect, it } from 'vitest'
import type { PredictedEvent } from '../../measure/index.ts'
import { asking, PCRS, pcrFiles, TPM } from '../guest.test-support.ts'
import { pcrs } from './pcrs.ts'

const events: PredictedEvent[] = [
  { pcr: 2, type: 4, by: 'firmware', what: 'separator', measured: { kind: 'bytes', bytes: Buffer.alloc(4) } },
  { pcr: 9, type: 6, by: 'kernel', what: 'initrd', measured: { kind: 'unknown', why: 'it has a secret' } },
]
const prediction = { pcr11: new Map(), sections: [], events }
/** A PCR with nothing but a separator. */
const SEPARATED = '3d458cfe55cc03ea1f443f1562beec8df51c75e14a9fcf9a7234a13f198e7969'

function values(changes: Readonly<Record<number, string>>): Record<number, string> {
  const all = Array.from({ length: 24 }, (_, pcr) => [pcr, (pcr >= 17 && pcr <= 22 ? 'ff' : '00').repeat(32)])
  return { ...Object.fromEntries(all), 2: SEPARATED, ...changes }
}

function ask(sha256: Record<number, string>) {
  return asking(pcrs, { files: { [TPM]: '' }, commands: { [PCRS]: pcrFiles({ sha256 }) } }, { prediction })
}

describe('pcrs', () => {
  it('passes when every value that can be known is right, and names the others', async () => {
    const { status, evidence } = await ask(values({ 9: 'ab'.repeat(32) }))
    expect(status).toBe('passed')
    expect(evidence).toEqual([
      '23 values are as predicted; PCR 9 cannot be',
      'PCR 9 (sha256) cannot be predicted: initrd: it has a secret',
    ])
  })

  it('fails for a value that is wrong, with what it is to be made of', async () => {
    const wrong = await ask(values({ 2: '11'.repeat(32) }))
    expect(wrong).toMatchObject({ status: 'failed', expected: `PCR 2 (sha256) ${SEPARATED}`, found: '11'.repeat(32) })
    expect(wrong.evidence[0]).toContain('it is to be made of separator')
  })

  it('fails for a PCR that should have been left alone, and for one that is not there', async () => {
    expect((await ask(values({ 14: '22'.repeat(32) }))).evidence[0]).toContain('nothing should be measured there')
    const { 23: _, ...some } = values({})
    expect(await ask(some)).toMatchObject({ status: 'failed', found: 'no value' })
  })

  it('says that there is no TPM', async () => {
    expect((await asking(pcrs, {}, { prediction })).status).toBe('unsupported')
  })
})
