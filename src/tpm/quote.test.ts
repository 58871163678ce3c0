import { generateKeyPairSync, sign } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readyToolchain, type Toolchain } from '../toolchain/index.ts'
import { createAttestationKey, signsForItsTpmOnly } from './attestation-key.ts'
import { parseAttestedPcrs } from './attested.ts'
import { sized, u16 } from './commands.ts'
import { checkQuote, type Quote, quotedDigest, takeQuote } from './quote.ts'
import { isSignedBy, parseSignature } from './signature.ts'
import { withTpm } from './standalone.ts'
import { manufactureTpm } from './swtpm.ts'

const toolchain = (await readyToolchain().catch(() => undefined)) as Toolchain
const asked = { nonce: Buffer.from('only once'), bank: 'sha256', pcrs: [7, 0, 11] } as const

describe.skipIf(toolchain === undefined)('a quote of a real TPM (needs the tools: ./bootwright setup)', () => {
  let directory: string
  let quote: Quote

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'bootwright-quote-'))
    const state = join(directory, 'tpm')
    await manufactureTpm(toolchain, state, ['sha256'])
    await withTpm(toolchain, state, join(directory, 'tpm.log'), async (send) => {
      const key = await createAttestationKey(send)
      expect(signsForItsTpmOnly(key)).toBe(true)
      quote = await takeQuote(send, key, asked)
      await expect(takeQuote(send, key, { ...asked, pcrs: [24] })).rejects.toThrow('from 0 to 23, found 24')
      const long = { ...asked, nonce: Buffer.alloc(33) }
      await expect(takeQuote(send, key, long)).rejects.toThrow('at most 32 bytes, found 33')
    })
  })

  afterAll(() => rm(directory, { recursive: true, force: true }))

  it('is signed, answers the question, and tells the values', () => {
    expect(() => checkQuote(quote, asked)).not.toThrow()
    expect(quote.selections).toEqual([{ bank: 'sha256', pcrs: [0, 7, 11] }])
    expect(quote.pcrDigest).toEqual(quotedDigest(Array(3).fill('00'.repeat(32))))
  })

  it('is not taken for the answer to another question', () => {
    expect(() => checkQuote(quote, { ...asked, nonce: Buffer.from('again') })).toThrow('it has another nonce')
    expect(() => checkQuote(quote, { ...asked, pcrs: [0, 7] })).toThrow(
      'it is about PCRs sha256 0,7,11, not sha256 0,7',
    )
    expect(() => checkQuote(quote, { ...asked, bank: 'sha1' })).toThrow('about PCRs sha256 0,7,11, not sha1 0,7,11')
  })

  it('is not believed with a single bit changed', () => {
    const attested = Buffer.from(quote.attested)
    attested[20] = (attested[20] ?? 0) ^ 1
    expect(() => checkQuote({ ...quote, attested }, asked)).toThrow('its signature is not that of its key')
    const [r = Buffer.alloc(0), s = Buffer.alloc(0)] = quote.signature.numbers
    const forged = { ...quote.signature, numbers: [Buffer.from(r).fill(1, 20, 21), s] }
    expect(() => checkQuote({ ...quote, signature: forged }, asked)).toThrow('its signature is not that of its key')
  })

  it('is malformed wherever it is cut, and with anything behind it', () => {
    for (let length = 0; length < quote.attested.length; length++) {
      expect(() => parseAttestedPcrs(quote.attested.subarray(0, length))).toThrow(
        expect.objectContaining({ code: 'MALFORMED_INPUT' }),
      )
    }
    expect(() => parseAttestedPcrs(Buffer.concat([quote.attested, Buffer.of(0)]))).toThrow('1 bytes follow')
  })
})

describe('isSignedBy()', () => {
  const message = Buffer.from('what the TPM says')

  it.each([
    ['P-256', 'sha256'],
    ['P-384', 'sha384'],
    ['P-521', 'sha512'],
  ] as const)('verifies ECDSA on %s, with zeros left away', (namedCurve, hash) => {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve })
    const jwk = publicKey.export({ format: 'jwk' })
    // One in 256 begins with a zero: this goes on until one did.
    for (let isShort = false; !isShort; ) {
      const bytes = sign(hash, message, { key: privateKey, dsaEncoding: 'ieee-p1363' })
      const numbers = [bytes.subarray(0, bytes.length / 2), bytes.subarray(bytes.length / 2)].map((number) =>
        number[0] === 0 ? number.subarray(1) : number,
      )
      isShort = numbers.some((number) => number.length < bytes.length / 2)
      expect(isSignedBy(jwk, message, { scheme: 'ecdsa', hash, numbers })).toBe(true)
      expect(isSignedBy(jwk, Buffer.from('another'), { scheme: 'ecdsa', hash, numbers })).toBe(false)
    }
  })

  it('verifies RSASSA and RSAPSS, and takes none for the other', () => {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const jwk = publicKey.export({ format: 'jwk' })
    const bytes = sign('sha256', message, privateKey)
    const rsassa = parseSignature(Buffer.concat([u16(0x14, 0x0b), sized(bytes)]))
    expect(isSignedBy(jwk, message, rsassa)).toBe(true)
    expect(isSignedBy(jwk, message, { ...rsassa, scheme: 'rsapss' })).toBe(false)
    expect(isSignedBy(jwk, message, { ...rsassa, hash: 'sha1' })).toBe(false)
    const pss = sign('sha256', message, { key: privateKey, padding: 6, saltLength: 32 })
    expect(isSignedBy(jwk, message, { scheme: 'rsapss', hash: 'sha256', numbers: [pss] })).toBe(true)
    expect(() => parseSignature(Buffer.concat([u16(0x1a, 0x0b), sized(bytes)]))).toThrow('none of RSASSA')
  })
})
