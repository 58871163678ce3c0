import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readyToolchain, type Toolchain } from '../toolchain/index.ts'
import {
  type AttestationKey,
  attestationKeyCommand,
  checkQuote,
  parseAttestationKey,
  parseQuote,
  quoteCommand,
  quotedDigest,
} from './quote.ts'
import { withTpm } from './standalone.ts'
import { manufactureTpm } from './swtpm.ts'

const toolchain = (await readyToolchain().catch(() => undefined)) as Toolchain
const asked = { nonce: Buffer.from('only once'), bank: 'sha256', pcrs: [7, 0, 11] } as const

describe.skipIf(toolchain === undefined)('a quote of a real TPM (needs the tools: ./bootwright setup)', () => {
  let directory: string
  let key: AttestationKey
  let answer: Buffer

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'bootwright-quote-'))
    const state = join(directory, 'tpm')
    await manufactureTpm(toolchain, state, ['sha256'])
    await withTpm(toolchain, state, join(directory, 'tpm.log'), async (send) => {
      key = parseAttestationKey(await send(attestationKeyCommand()))
      answer = await send(quoteCommand(key.handle, asked.nonce, asked.bank, asked.pcrs))
    })
  })

  afterAll(() => rm(directory, { recursive: true, force: true }))

  it('is signed, answers the question, and tells the values', () => {
    const quote = parseQuote(answer, key.publicKey)
    expect(() => checkQuote(quote, asked)).not.toThrow()
    expect(quote.pcrs).toEqual([0, 7, 11])
    expect(quote.pcrDigest).toEqual(quotedDigest(Array(3).fill('00'.repeat(32))))
  })

  it('is not taken for the answer to another question', () => {
    const quote = parseQuote(answer, key.publicKey)
    expect(() => checkQuote(quote, { ...asked, nonce: Buffer.from('again') })).toThrow('it has another nonce')
    expect(() => checkQuote(quote, { ...asked, pcrs: [0, 7] })).toThrow('it is about PCRs 0,7,11, not 0,7')
    expect(() => checkQuote(quote, { ...asked, bank: 'sha1' })).toThrow('it is about bank sha256, not sha1')
  })

  it('is not believed with a single bit changed', () => {
    const quote = parseQuote(answer, key.publicKey)
    for (const part of ['attested', 'signature'] as const) {
      const forged = Buffer.from(quote[part])
      forged[20] = (forged[20] ?? 0) ^ 1
      expect(() => checkQuote({ ...quote, [part]: forged }, asked)).toThrow('its signature is not that of its key')
    }
  })

  it('is malformed wherever it is cut', () => {
    // The session's own area at the end says nothing: an empty nonce, attributes, an empty authorisation.
    for (let length = 0; length < answer.length - 5; length++) {
      const cut = Buffer.from(answer.subarray(0, length))
      // As if it were whole: the header tells its length.
      if (length >= 6) cut.writeUInt32BE(length, 2)
      expect(() => parseQuote(cut, key.publicKey)).toThrow(expect.objectContaining({ code: 'MALFORMED_INPUT' }))
    }
  })
})

describe('quoteCommand()', () => {
  it('refuses what no TPM has', () => {
    expect(() => quoteCommand(1, Buffer.alloc(0), 'sha256', [24])).toThrow('Expected PCRs from 0 to 23, found 24')
    expect(() => quoteCommand(1, Buffer.alloc(33), 'sha256', [0])).toThrow('at most 32 bytes, found 33')
  })
})
