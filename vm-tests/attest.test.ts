import { generateKeyPairSync, sign } from 'node:crypto'
import { describe } from 'vitest'
import { type Expectation, gatherEvidence, judgeEvidence, knownEndorsement } from '../src/attest/index.ts'
import type { RunningMachine } from '../src/machine/index.ts'
import { type PredictedEvent, parseEventLog, predictPcrs } from '../src/measure/index.ts'
import { expect, test } from '../src/testing/vitest.ts'
import type { Quote } from '../src/tpm/index.ts'
import { AlteredDisk } from './support/altered-disk.ts'
import { predictorFor } from './support/measured.ts'
import { tools } from './support/scene.ts'

const UKI = 'EFI/BOOT/BOOTX64.EFI'
const pcrs = Array.from({ length: 24 }, (_, pcr) => pcr)

function question(nonce: string) {
  return { nonce: Buffer.from(nonce), bank: 'sha256', pcrs } as const
}

async function expectation(
  machine: Pick<RunningMachine, 'directory'>,
  nonce: string,
  events: readonly PredictedEvent[],
): Promise<Expectation> {
  const endorsement = await knownEndorsement(await tools(), machine.directory)
  return { nonce: Buffer.from(nonce), endorsement, events, pcrs: predictPcrs(events, ['sha256']) }
}

function statuses(...[evidence, expected]: Parameters<typeof judgeEvidence>): Record<string, string> {
  const checks = judgeEvidence(evidence, expected)
  return Object.fromEntries(checks.filter(({ status }) => status !== 'passed').map(({ id, status }) => [id, status]))
}

/** What somebody signs who has a key, but no TPM. */
function signedElsewhere(quote: Quote): Quote {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const signature = sign('sha256', quote.attested, { key: privateKey, dsaEncoding: 'ieee-p1363' })
  const numbers = [signature.subarray(0, 32), signature.subarray(32)]
  return { ...quote, publicKey: publicKey.export({ format: 'jwk' }), signature: { ...quote.signature, numbers } }
}

describe('attestation', () => {
  test('holds for the predicted machine, and for nothing else', async ({ boot }) => {
    await using machine = await boot('minimal')
    const predict = await predictorFor(machine.spec)
    const events = await predict(machine.spec)
    const evidence = await gatherEvidence(machine, question('first'))
    const expected = await expectation(machine, 'first', events)
    expect(statuses(evidence, expected)).toEqual({})

    expect(statuses(evidence, { ...expected, nonce: Buffer.from('second') })).toEqual({ 'quote-nonce': 'failed' })

    const log = Buffer.from(evidence.firmwareLog)
    const separator = log.indexOf(
      Buffer.from('df3f619804a92fdb4057192dc43dd748ea778adc52bc498ce80524c014b81119', 'hex'),
    )
    log[separator] = 0
    const logs = { ...evidence.logs, log: parseEventLog(log) }
    expect(statuses({ ...evidence, logs }, expected)).toEqual({ 'event-log': 'failed', events: 'failed' })

    const pretended = { ...evidence, quote: signedElsewhere(evidence.quote) }
    expect(statuses(pretended, expected)).toEqual({ credential: 'failed' })
    const otherKey = { ...evidence.quote, publicKey: pretended.quote.publicKey }
    expect(statuses({ ...evidence, quote: otherKey }, expected)).toEqual({
      credential: 'failed',
      'quote-signature': 'failed',
      'event-log': 'unsupported',
      pcrs: 'unsupported',
      events: 'unsupported',
    })

    const values = new Map([['sha256' as const, new Map(evidence.values?.get('sha256')).set(11, '00'.repeat(32))]])
    expect(statuses({ ...evidence, values }, expected)).toMatchObject({ 'quote-values': 'failed', pcrs: 'failed' })

    await using disk = await AlteredDisk.copyOf(machine.spec.image)
    disk.flip(disk.place(UKI, '.osrel'))
    const altered = await predict({ ...machine.spec, image: { ...machine.spec.image, diskPath: disk.path } })
    expect(statuses(evidence, await expectation(machine, 'first', altered))).toEqual({
      pcrs: 'failed',
      events: 'failed',
    })
  })

  test('tells a machine from another of the same make, and one that has measured more', async ({ boot }) => {
    await using machine = await boot('minimal')
    await using other = await boot('minimal', { from: 'cold' })
    const events = await (await predictorFor(machine.spec))(machine.spec)
    const expected = await expectation(machine, 'whose', events)
    const evidence = await gatherEvidence(other, question('whose'))
    expect(statuses(evidence, await expectation(other, 'whose', events))).toEqual({})
    expect(statuses(evidence, expected)).toEqual({ 'ek-certificate': 'failed' })
    const own = await gatherEvidence(machine, question('whose'))
    expect(statuses({ ...evidence, endorsement: own.endorsement }, expected)).toEqual({ credential: 'failed' })

    await machine.run(['/usr/lib/systemd/systemd-pcrextend', '--pcr=11', 'more'])
    expect(statuses(await gatherEvidence(machine, question('whose')), expected)).toEqual({
      pcrs: 'failed',
      events: 'failed',
    })
  })
})
