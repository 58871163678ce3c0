import { generateKeyPairSync, verify } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import {
  canonicalEventLog,
  digestsOf,
  keyFingerprint,
  keylimePolicy,
  type PredictedEvent,
  pcrlockFiles,
  pcrlockFilesOfAll,
  pcrSignatures,
  policyPcr,
  predictPcrs,
  referenceValues,
  replay,
} from '../index.ts'

const event = (pcr: number, what: string, more: Partial<PredictedEvent> = {}): PredictedEvent => {
  return { pcr, type: 0xd, by: 'firmware', what, measured: { kind: 'bytes', bytes: Buffer.from(what) }, ...more }
}
const word = (pcr: number, what: string, more: Partial<PredictedEvent> = {}) =>
  event(pcr, what, { type: 'word', by: 'system', ...more })

const events: PredictedEvent[] = [
  event(4, 'loader', { data: Buffer.of(1, 2) }),
  event(5, 'boot services end'),
  event(5, 'and once more', { group: 'Second Try' }),
  event(9, 'initrd', { by: 'kernel', measured: { kind: 'unknown', why: 'it has a secret' } }),
  event(11, 'section', { by: 'stub' }),
  word(11, 'phase enter-initrd'),
  word(11, 'phase leave-initrd'),
  word(11, 'phase sysinit'),
  word(11, 'phase ready'),
  word(15, 'machine-id'),
]
const reference = referenceValues(events, ['sha256', 'sha384'])
const knownValues = (pcr: number, bank: 'sha256' | 'sha384' = 'sha256') => {
  const value = predictPcrs(events, [bank]).get(bank)?.get(pcr)
  return value?.kind === 'known' ? value.values : []
}

describe('referenceValues()', () => {
  it('has what is known, and says why the rest is left out', () => {
    expect(reference.pcrs).toEqual([4, 5, 11, 15])
    expect(reference.leftOut).toEqual([{ pcr: 9, why: 'initrd: it has a secret' }])
    expect(reference.events.some(({ pcr }) => pcr === 9)).toBe(false)
  })

  it('leaves a PCR out that is known in one bank only', () => {
    const digests = new Map([['sha256', '00'.repeat(32)]] as const)
    const half = [event(1, 'table', { measured: { kind: 'digests', digests } })]
    expect(referenceValues(half, ['sha256']).pcrs).toEqual([1])
    expect(referenceValues(half, ['sha256', 'sha384']).leftOut).toEqual([
      { pcr: 1, why: 'table: there is no sha384 digest of it' },
    ])
  })

  it('takes only what is wanted, also PCRs that nothing is measured into', () => {
    expect(referenceValues(events, ['sha256'], [12, 4]).pcrs).toEqual([4, 12])
    expect(referenceValues(events, ['sha256'], [9]).leftOut).toHaveLength(1)
  })
})

describe('canonicalEventLog()', () => {
  it('replays to the predicted values', () => {
    const { records, leftOut } = canonicalEventLog(reference)
    expect(records.map(({ recnum }) => recnum)).toEqual(records.map((_, index) => index))
    const extended = records.map(({ pcr, digests }) => {
      return { pcr, digests: new Map(digests.map(({ hashAlg, digest }) => [hashAlg, Buffer.from(digest, 'hex')])) }
    })
    const { values } = replay(extended, ['sha256', 'sha384'])
    for (const pcr of [4, 11, 15]) {
      expect([values.get('sha256')?.get(pcr)]).toEqual(knownValues(pcr))
      expect([values.get('sha384')?.get(pcr)]).toEqual(knownValues(pcr, 'sha384'))
    }
    expect(leftOut.map(({ pcr }) => pcr)).toEqual([5, 9])
  })

  it('has firmware records and systemd words', () => {
    const { records } = canonicalEventLog(reference)
    expect(records[0]).toMatchObject({
      content_type: 'pcclient_std',
      content: { event_type: 'EV_IPL', event_data: '0102' },
    })
    expect(records.at(-1)).toMatchObject({ content_type: 'systemd', content: { string: 'machine-id' } })
  })
})

describe('pcrlockFiles()', () => {
  const files = pcrlockFiles(reference)

  it('has a component for each stage of a PCR, in the order of the boot, where systemd has its own', () => {
    expect(files.map(({ path }) => path)).toEqual([
      '250-firmware-pcr-4.pcrlock',
      '250-firmware-pcr-5.pcrlock.d/010-with-second-try.pcrlock',
      '250-firmware-pcr-5.pcrlock.d/020-without.pcrlock',
      '650-stub-pcr-11.pcrlock',
      '750-initrd-pcr-11.pcrlock',
      '800-leave-initrd-pcr-11.pcrlock',
      '850-sysinit-pcr-11.pcrlock',
      '900-ready-pcr-11.pcrlock',
      '820-identity-pcr-15.pcrlock',
    ])
  })

  it('keeps the order of a PCR when a stage comes back', () => {
    const mixed = referenceValues(
      [event(5, 'a', { by: 'boot-loader' }), event(5, 'b'), event(5, 'c', { by: 'stub' })],
      ['sha256'],
    )
    expect(pcrlockFiles(mixed).map(({ path }) => path)).toEqual([
      '450-boot-loader-pcr-5.pcrlock',
      '451-firmware-pcr-5.pcrlock',
      '650-stub-pcr-5.pcrlock',
    ])
  })

  it('has the records of systemd.pcrlock(5)', () => {
    const digest = (text: string, bank: 'sha256' | 'sha384') =>
      Buffer.from(digestsOf([bank], Buffer.from(text)).get(bank) ?? []).toString('hex')
    expect(JSON.parse(files[0]?.content ?? '')).toEqual({
      records: [
        {
          pcr: 4,
          digests: [
            { hashAlg: 'sha256', digest: digest('loader', 'sha256') },
            { hashAlg: 'sha384', digest: digest('loader', 'sha384') },
          ],
        },
      ],
    })
    expect(JSON.parse(files[1]?.content ?? '').records).toHaveLength(2)
    expect(JSON.parse(files[2]?.content ?? '').records).toHaveLength(1)
  })
})

describe('pcrlockFilesOfAll()', () => {
  const updated = referenceValues(
    events.map((one) => (one.what === 'section' ? event(11, 'another section', { by: 'stub' }) : one)),
    reference.banks,
  )
  const path = '650-stub-pcr-11.pcrlock'

  it('has variants of what differs, and the rest once', () => {
    const files = pcrlockFilesOfAll([reference, updated])
    const contents = new Map(files.map((file) => [file.path, file.content]))
    const alone = [reference, updated].map((one) => pcrlockFiles(one).find((file) => file.path === path)?.content)
    expect([contents.get(`${path}.d/010.pcrlock`), contents.get(`${path}.d/020.pcrlock`)]).toEqual(alone)
    expect([...contents.keys()].filter((name) => name.includes('pcr-11'))).toHaveLength(6)
    expect(contents.get('250-firmware-pcr-4.pcrlock')).toBe(pcrlockFiles(reference)[0]?.content)
  })

  it('has the variants of one that has some by itself once', () => {
    const fifth = pcrlockFilesOfAll([reference, updated]).filter((file) => file.path.includes('pcr-5'))
    expect(fifth.map(({ content }) => JSON.parse(content).records.length)).toEqual([2, 1])
  })

  it('refuses predictions that differ in what there is', () => {
    const other = referenceValues(events.slice(0, -1), reference.banks)
    expect(() => pcrlockFilesOfAll([reference, other])).toThrow(
      'Expected 820-identity-pcr-15.pcrlock in each of the predictions, found it in some',
    )
  })
})

describe('keylimePolicy()', () => {
  it('has the values of each PCR in one bank, and the mask', () => {
    expect(keylimePolicy(reference, 'sha256')).toEqual({
      4: knownValues(4),
      5: knownValues(5),
      11: knownValues(11),
      15: knownValues(15),
      mask: '0x8830',
    })
    expect(knownValues(5)).toHaveLength(2)
  })
})

describe('pcrSignatures()', () => {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })

  it('signs the policy of each combination, in each bank', () => {
    const signatures = pcrSignatures(referenceValues(events, ['sha384', 'sha256'], [5, 11]), privateKey)
    expect(Object.keys(signatures)).toEqual(['sha256', 'sha384'])
    const [value = ''] = knownValues(11)
    for (const [index, signature] of (signatures.sha256 ?? []).entries()) {
      const policy = policyPcr(
        'sha256',
        new Map([
          [5, knownValues(5)[index] ?? ''],
          [11, value],
        ]),
      )
      expect(signature).toEqual({
        pcrs: [5, 11],
        pkfp: keyFingerprint(publicKey),
        pol: policy.toString('hex'),
        sig: signature.sig,
      })
      expect(verify('sha256', policy, publicKey, Buffer.from(signature.sig, 'base64'))).toBe(true)
    }
    expect(signatures.sha256).toHaveLength(2)
  })

  it('signs the reference along, and another key or reference gives another signature', () => {
    const one = referenceValues(events, ['sha256'], [11])
    const [plain] = pcrSignatures(one, privateKey).sha256 ?? []
    const [named] = pcrSignatures(one, privateKey, 'initrd').sha256 ?? []
    expect(named).toMatchObject({ ref: 'initrd', pol: plain?.pol })
    expect(named?.sig).not.toBe(plain?.sig)
  })

  it('refuses nothing, too much, and a key that no TPM verifies', () => {
    const nothing = referenceValues(events, ['sha256'], [9])
    expect(() => pcrSignatures(nothing, privateKey)).toThrow(/no PCR whose value could be signed/)
    const groups = Array.from({ length: 7 }, (_, index) => event(5, `x${index}`, { group: `g${index}` }))
    expect(() => pcrSignatures(referenceValues(groups, ['sha256']), privateKey)).toThrow(/more than 64 combinations/)
    const ed25519 = generateKeyPairSync('ed25519').privateKey
    expect(() => pcrSignatures(referenceValues(events, ['sha256'], [11]), ed25519)).toThrow(/Expected a key of RSA/)
  })
})
