import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import {
  isPolicyMet,
  judgeComponents,
  judgeSignatures,
  KERNEL_BOOT_PCR,
  type PredictedEvent,
  parsePcrlock,
  parsePcrSignatures,
  pcrlockComponents,
  pcrlockFiles,
  pcrSignatures,
  policyPcr,
  referenceValues,
  signedPolicies,
} from '../index.ts'
import { peFile } from '../prediction/boot/boot-disk.test-support.ts'

const event = (pcr: number, what: string, more: Partial<PredictedEvent> = {}): PredictedEvent => {
  return { pcr, type: 0xd, by: 'firmware', what, measured: { kind: 'bytes', bytes: Buffer.from(what) }, ...more }
}
const word = (pcr: number, what: string) => event(pcr, what, { type: 'word', by: 'system' })

const events: PredictedEvent[] = [
  event(4, 'loader'),
  event(5, 'boot services end'),
  event(5, 'and once more', { group: 'Second Try' }),
  event(9, 'initrd', { by: 'kernel', measured: { kind: 'unknown', why: 'it has a secret' } }),
  event(11, 'section', { by: 'stub' }),
  word(11, 'phase enter-initrd'),
  word(11, 'phase ready'),
]
const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value))
const signed = (pcrs: readonly number[], of = events, policyRef?: string): Buffer =>
  json(pcrSignatures(referenceValues(of, ['sha256', 'sha384'], pcrs), privateKey, policyRef))

describe('judgeSignatures()', () => {
  const judge = (bytes: Uint8Array, key = publicKey) => judgeSignatures(parsePcrSignatures(bytes), events, key)

  it('says when in the boot a policy is met', () => {
    expect(judge(signed([KERNEL_BOOT_PCR]))).toEqual(
      (['sha256', 'sha384'] as const).map((bank) => {
        return { bank, pcrs: [11], policyRef: undefined, moments: ['ready'], signature: 'valid' }
      }),
    )
    const untilInitrd = events.filter(({ what }) => what !== 'phase ready')
    expect(judge(signed([11], untilInitrd))[0]?.moments).toEqual(['enter-initrd'])
    expect(judge(signed([11], untilInitrd.slice(0, -1)))[0]?.moments).toEqual(['stub'])
  })

  it('knows the PCRs besides 11 as they are in the end, with each of their values', () => {
    expect(judge(signed([4, 5, 11])).map(({ moments }) => moments)).toEqual(Array(4).fill(['ready']))
    expect(judge(signed([4]))[0]?.moments).toEqual(['stub', 'enter-initrd', 'ready'])
  })

  it('says of another kernel that its policy is never met', () => {
    const other = events.map((one) => (one.what === 'section' ? event(11, 'another section') : one))
    const [policy] = judge(signed([11], other))
    expect(policy).toMatchObject({ moments: [], signature: 'valid' })
    expect(policy && isPolicyMet(policy)).toBe(false)
  })

  it('says of a PCR with something unknown in it that its policy is never met', () => {
    const policies = [{ pcrs: [9], pol: '00'.repeat(32) }]
    expect(judge(json({ sha256: policies }))).toMatchObject([{ moments: [], signature: 'unsigned' }])
  })

  it('tells a signature of another key, an altered one, and one of another reference', () => {
    const other = generateKeyPairSync('rsa', { modulusLength: 2048 })
    expect(judge(signed([11]), other.publicKey)[0]?.signature).toBe('other-key')
    expect(judgeSignatures(parsePcrSignatures(signed([11])), events, undefined)[0]?.signature).toBe('unchecked')
    expect(judge(signed([11], events, 'initrd'))[0]).toMatchObject({ policyRef: 'initrd', signature: 'valid' })
    const { sha256 } = JSON.parse(signed([11], events, 'initrd').toString())
    expect(judge(json({ sha256: [{ ...sha256[0], ref: 'system' }] }))[0]?.signature).toBe('invalid')
    expect(judge(json({ sha256: [{ ...sha256[0], sig: 'AAAA' }] }))[0]?.signature).toBe('invalid')
  })

  it('takes a key of a curve', () => {
    const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const bytes = json(pcrSignatures(referenceValues(events, ['sha256'], [11]), pair.privateKey))
    expect(judge(bytes, createPublicKey(pair.privateKey))[0]?.signature).toBe('valid')
  })
})

describe('signedPolicies()', () => {
  const pem = publicKey.export({ type: 'spki', format: 'pem' }).toString()

  it('takes them from a unified kernel image, with the key in it', () => {
    const image = peFile([
      ['.linux', 'x'],
      ['.pcrsig', signed([11]), 8192],
      ['.pcrpkey', pem],
    ])
    expect(signedPolicies(image)).toEqual({ policies: parsePcrSignatures(signed([11])), publicKey: pem })
    expect(
      signedPolicies(
        peFile([
          ['.linux', 'x'],
          ['.pcrsig', signed([11])],
        ]),
      ).publicKey,
    ).toBeUndefined()
  })

  it('takes them from a file of their own', () => {
    expect(signedPolicies(signed([11]))).toEqual({ policies: parsePcrSignatures(signed([11])), publicKey: undefined })
  })

  it('refuses an image without', () => {
    expect(() => signedPolicies(peFile([['.linux', 'x']]))).toThrow(
      expect.objectContaining({ code: 'IMAGE_INCOMPLETE', message: expect.stringContaining('.pcrsig, found none') }),
    )
  })
})

describe('parsePcrSignatures()', () => {
  it('passes over banks that it does not know, and zeros that follow', () => {
    const pol = policyPcr('sha256', new Map([[11, '00'.repeat(32)]])).toString('hex')
    const bytes = Buffer.concat([json({ sm3: [], sha256: [{ pcrs: [11, 4, 11], pol, pkfp: 'AB' }] }), Buffer.alloc(5)])
    expect(parsePcrSignatures(bytes)).toMatchObject([{ bank: 'sha256', pcrs: [4, 11], keyFingerprint: 'ab' }])
  })

  it.for([
    ['[]', 'expected an object'],
    ['{"sha256": 1}', 'sha256 at offset 0: expected a list of policies'],
    ['{"sha256": [1]}', 'expected objects'],
    ['{"sha256": [{"pcrs": [24], "pol": ""}]}', 'pcrs at offset 0: expected a list of PCRs'],
    ['{"sha256": [{"pcrs": [1], "pol": "00"}]}', 'expected 64 hexadecimal digits for sha256'],
    ['{"sha256": [{"pcrs": [1], "sig": 1}]}', 'sig at offset 0: expected a text in base64'],
    ['{"sha256": [{"pcrs": [1], "pkfp": 1}]}', 'pkfp at offset 0: expected a text'],
    ['{"sha256": [{"pcrs": [1], "ref": {}}]}', 'ref at offset 0: expected a text'],
    ['{"sha256": [', 'JSON at offset'],
  ] as const)('refuses %s', ([text, problem]) => {
    expect(() => parsePcrSignatures(Buffer.from(text))).toThrow(
      expect.objectContaining({ code: 'MALFORMED_INPUT', message: expect.stringContaining(problem) }),
    )
  })
})

const files = new Map(
  pcrlockFiles(referenceValues(events, ['sha256', 'sha384'])).map(({ path, content }) => [path, Buffer.from(content)]),
)

describe('judgeComponents()', () => {
  const judge = (of = events, given: ReadonlyMap<string, Uint8Array> = files) =>
    judgeComponents(pcrlockComponents(given), of, 'sha256')

  it('finds that the components of a prediction make it up', () => {
    expect(judge()).toMatchObject([
      { pcr: 4, isNamed: true, isCovered: true, fits: ['250-firmware-pcr-4.pcrlock'] },
      { pcr: 5, isCovered: true, fits: ['250-firmware-pcr-5.pcrlock.d/020-without.pcrlock'] },
      { pcr: 9, isNamed: false, isCovered: false, why: 'initrd cannot be known: it has a secret' },
      {
        pcr: 11,
        isCovered: true,
        fits: expect.arrayContaining(['650-stub-pcr-11.pcrlock', '900-ready-pcr-11.pcrlock']),
      },
    ])
  })

  it('names the component that does not fit, and what is there instead', () => {
    const other = events.map((one) => (one.what === 'section' ? event(11, 'another section') : one))
    expect(judge(other).at(-1)).toEqual({
      pcr: 11,
      isNamed: true,
      isCovered: false,
      fits: [],
      why: 'no variant of 650-stub-pcr-11 fits: the boot has another section there',
    })
    expect(judge(events.slice(0, -1)).at(-1)?.why).toBe(
      'no variant of 900-ready-pcr-11 fits: the boot has nothing more there',
    )
  })

  it('names what no component has', () => {
    expect(judge([...events, word(11, 'phase shutdown')]).at(-1)?.why).toBe('no component has phase shutdown')
    expect(judge([...events, event(14, 'shim')]).at(-1)).toMatchObject({ isNamed: false, why: 'no component has shim' })
  })

  it('takes the variant with which all the rest fits', () => {
    const records = (...texts: string[]) =>
      json({ records: texts.map((text) => ({ pcr: 23, digests: digests(text) })) })
    const given = new Map([
      ['100-a.pcrlock.d/1.pcrlock', records('a')],
      ['100-a.pcrlock.d/2.pcrlock', records('a', 'b')],
      ['200-b.pcrlock', records('b')],
      ['README', Buffer.from('no component')],
    ])
    expect(judge([event(23, 'a'), event(23, 'b')], given)[0]?.fits).toEqual([
      '100-a.pcrlock.d/1.pcrlock',
      '200-b.pcrlock',
    ])
    expect(judge([event(23, 'a'), event(23, 'b'), event(23, 'b')], given)[0]?.fits).toHaveLength(2)
    expect(judge([event(23, 'b')], given)[0]?.isCovered).toBe(false)
  })
})

function digests(text: string) {
  const [file] = pcrlockFiles(referenceValues([event(23, text)], ['sha256']))
  return JSON.parse(file?.content ?? '').records[0].digests
}

describe('parsePcrlock()', () => {
  it('passes over banks that it does not know', () => {
    const digest = { hashAlg: 'sha3-256', digest: 'x' }
    expect(parsePcrlock(json({ records: [{ pcr: 0, digests: [digest] }] }))).toEqual([{ pcr: 0, digests: new Map() }])
  })

  it.for([
    ['{}', 'records at offset 0: expected a list'],
    ['{"records": [1]}', 'expected objects'],
    ['{"records": [{"pcr": -1}]}', 'expected 0 to 23, found -1'],
    ['{"records": [{"pcr": 1}]}', 'digests at offset 0: expected a list'],
    ['{"records": [{"pcr": 1, "digests": [{}]}]}', 'expected objects with hashAlg and digest'],
    ['{"records": [{"pcr": 1, "digests": [{"hashAlg": "sha1", "digest": "0"}]}]}', 'expected 40 hexadecimal digits'],
    ['nothing', 'JSON at offset'],
  ] as const)('refuses %s', ([text, problem]) => {
    expect(() => parsePcrlock(Buffer.from(text))).toThrow(
      expect.objectContaining({ code: 'MALFORMED_INPUT', message: expect.stringContaining(problem) }),
    )
  })

  it('refuses a bank that occurs twice', () => {
    const digest = { hashAlg: 'sha1', digest: '00'.repeat(20) }
    expect(() => parsePcrlock(json({ records: [{ pcr: 1, digests: [digest, digest] }] }))).toThrow(/sha1 occurs twice/)
  })
})
