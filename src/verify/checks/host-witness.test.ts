import { describe, expect, it } from 'vitest'
import type { RunningMachine } from '../../machine/index.ts'
import { digestsOf, replay } from '../../measure/index.ts'
import { guestOf, PCRS, pcrFiles, TPM } from '../guest.test-support.ts'
import { GuestFacts } from '../guest-facts.ts'
import { hostWitness } from './host-witness.ts'

const extended = [4, 7, 7].map((pcr, index) => ({ pcr, digests: digestsOf(['sha256'], Buffer.of(index)) }))
const values = Object.fromEntries(replay(extended, ['sha256']).values.get('sha256') ?? [])

function ask(shown: Record<number, string>, seen = extended, startupLocality = 0) {
  const { machine } = guestOf({ files: { [TPM]: '' }, commands: { [PCRS]: pcrFiles({ sha256: shown }) } })
  const observed = { ...machine, observedBoot: async () => ({ startupLocality, extends: seen }) }
  return hostWitness.run({
    machine: observed as unknown as RunningMachine,
    systemState: 'running',
    guest: new GuestFacts(machine, async () => {}),
    prediction: { pcr11: new Map(), sections: [], events: [] },
    cloud: undefined,
  })
}

describe('host-witness', () => {
  it('passes when the guest shows what the host saw', async () => {
    expect(await ask(values)).toEqual({
      status: 'passed',
      evidence: ['24 PCR values follow from 3 commands that the host saw'],
    })
  })

  it('names the PCR about which the guest lies', async () => {
    const lie = await ask({ ...values, 7: 'ab'.repeat(32) })
    expect(lie).toMatchObject({ status: 'failed', expected: `PCR 7 (sha256) ${values[7]}`, found: 'ab'.repeat(32) })
  })

  it('fails when the guest hides a PCR, when the host saw more, and when PCR 0 began otherwise', async () => {
    const { 9: _, ...hidden } = values
    expect(await ask(hidden)).toMatchObject({ status: 'failed', found: 'no value' })
    expect(await ask(values, [...extended, { pcr: 23, digests: digestsOf(['sha256'], Buffer.of(9)) }])).toMatchObject({
      status: 'failed',
      expected: expect.stringContaining('PCR 23'),
    })
    expect(await ask(values, extended, 3)).toMatchObject({ expected: expect.stringContaining('PCR 0 (sha256)') })
  })

  it('is unsupported without a TPM', async () => {
    const { machine } = guestOf({ spec: { tpm: 'absent' } })
    const context = {
      machine,
      systemState: 'running',
      guest: new GuestFacts(machine, async () => {}),
      cloud: undefined,
    }
    const prediction = { pcr11: new Map(), sections: [], events: [] }
    expect((await hostWitness.run({ ...context, prediction })).status).toBe('unsupported')
  })
})
