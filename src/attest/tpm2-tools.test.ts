import { spawn } from 'node:child_process'
import { createHash, generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { access, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { parsePcrBanks } from '../measure/index.ts'
import { run, runUnchecked } from '../system/index.ts'
import { readyToolchain, type Toolchain } from '../toolchain/index.ts'
import { createAttestationKey, extendPcr, manufactureTpm, readPcrs, takeQuote, withTpm } from '../tpm/index.ts'
import { evidenceFiles, parseQuoteFiles } from './evidence-files.ts'
import { judgeEvidence } from './judge.ts'
import { parsePcrFile } from './pcr-file.ts'

const toolchain = (await readyToolchain().catch(() => undefined)) as Toolchain
const tools = toolchain?.command(['tpm2_quote', '--version'])
const hasTools = tools !== undefined && (await runUnchecked(tools).catch(() => undefined))?.exitCode === 0
const NONCE = Buffer.from('0badc0de', 'hex')
const SELECTION = 'sha1:0,17+sha256:0,1,2,7,11,15,16,17,18,23'

describe.skipIf(!hasTools)('quotes of tpm2-tools, and by tpm2-tools (needs the tools: ./bootwright setup)', () => {
  let directory: string
  const path = (name: string) => join(directory, name)

  /** What tpm2_quote has written, with a key of that kind. */
  async function foreign(kind: string) {
    const [message, signature, key, pcrs] = await Promise.all(
      ['msg', 'sig', 'pem', 'pcrs'].map((ending) => readFile(path(`${kind}.${ending}`))),
    )
    if (!message || !signature || !key || !pcrs) throw new Error('a file is missing')
    return { quote: parseQuoteFiles(message, signature, key), values: parsePcrFile(pcrs), message, signature, pcrs }
  }

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'bootwright-tpm2-tools-'))
    await manufactureTpm(toolchain, path('tpm'), ['sha1', 'sha256'])
    // biome-ignore format: an option and its value on one line
    const [file = '', ...args] = toolchain.command([
      'swtpm', 'socket', '--tpm2',
      '--tpmstate', `dir=${path('tpm')}`,
      '--server', `type=unixio,path=${path('sock')}`,
      '--ctrl', `type=unixio,path=${path('sock.ctrl')}`,
      '--flags', 'not-need-init,startup-clear',
    ]).argv
    const swtpm = spawn(file, args, { stdio: 'ignore' })
    const ended = once(swtpm, 'exit')
    const tpm2 = async (name: string, ...rest: string[]) => {
      const transport = ['-T', `swtpm:path=${path('sock')}`]
      await run(toolchain.command([name, ...transport, ...rest]))
      await run(toolchain.command(['tpm2_flushcontext', ...transport, '-t']))
    }
    try {
      await vi.waitFor(() => access(path('sock')))
      await tpm2('tpm2_pcrextend', `16:sha256=${'ab'.repeat(32)}`)
      for (const [kind, scheme] of [
        ['ecc', 'ecdsa'],
        ['rsa', 'rsapss'],
      ] as const) {
        await tpm2('tpm2_createek', '-c', path('ek.ctx'), '-G', 'rsa')
        const of = (ending: string) => path(`${kind}.${ending}`)
        const key = ['-C', path('ek.ctx'), '-c', of('ctx'), '-G', kind, '-g', 'sha256', '-s', scheme]
        await tpm2('tpm2_createak', ...key, '-u', of('pem'), '-f', 'pem', '-n', of('name'))
        await tpm2('tpm2_readpublic', '-c', of('ctx'), '-f', 'tss', '-o', of('tss'))
        await tpm2('tpm2_readpublic', '-c', of('ctx'), '-f', 'tpmt', '-o', of('tpmt'))
        const written = ['--scheme', scheme, '-m', of('msg'), '-s', of('sig'), '-o', of('pcrs'), '-g', 'sha256']
        await tpm2('tpm2_quote', '-c', of('ctx'), '-l', SELECTION, '-q', NONCE.toString('hex'), ...written)
      }
    } finally {
      swtpm.kill()
      await ended
    }
  }, 60_000)

  afterAll(() => rm(directory, { recursive: true, force: true }))

  it.each(['ecc', 'rsa'])('hold when they are right, with a key of %s in each form', async (kind) => {
    const { quote, values, message, signature } = await foreign(kind)
    const checks = judgeEvidence({ quote, values }, { nonce: NONCE })
    expect(checks.filter(({ status }) => status === 'passed').map(({ id }) => id)).toEqual([
      'quote-signature',
      'quote-nonce',
      'quote-values',
    ])
    expect(checks.filter(({ status }) => status === 'failed')).toEqual([])
    const extended = createHash('sha256').update(Buffer.alloc(32)).update(Buffer.alloc(32, 0xab)).digest('hex')
    expect(values.get('sha256')?.get(16)).toBe(extended)
    expect(values.get('sha1')?.get(17)).toBe('ff'.repeat(20))
    for (const form of ['tss', 'tpmt']) {
      const read = parseQuoteFiles(message, signature, await readFile(path(`${kind}.${form}`)))
      expect(read.publicKey).toEqual(quote.publicKey)
    }
  })

  it('do not hold with another nonce, value, message, signature or key', async () => {
    const { quote, values, pcrs } = await foreign('ecc')
    const failures = (...[evidence, expected]: Parameters<typeof judgeEvidence>) =>
      judgeEvidence(evidence, expected)
        .filter(({ status }) => status === 'failed')
        .map(({ id }) => id)
    expect(failures({ quote, values }, { nonce: Buffer.from('another') })).toEqual(['quote-nonce'])
    const changed = Buffer.from(pcrs)
    // The first byte of the first digest: selections, the number of lists, the number of digests, a size.
    changed[132 + 4 + 4 + 2] = 1
    expect(failures({ quote, values: parsePcrFile(changed) }, {})).toEqual(['quote-values'])
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const otherKey = { ...quote, publicKey: publicKey.export({ format: 'jwk' }) }
    expect(failures({ quote: otherKey, values }, { nonce: NONCE })).toEqual(['quote-signature'])
    const otherKind = { ...quote, publicKey: (await foreign('rsa')).quote.publicKey }
    expect(failures({ quote: otherKind, values }, {})).toEqual(['quote-signature'])
    const attested = Buffer.from(quote.attested)
    attested[30] = (attested[30] ?? 0) ^ 1
    expect(failures({ quote: { ...quote, attested }, values }, {})).toEqual(['quote-signature'])
  })

  it('are malformed wherever they are cut', async () => {
    const { message, signature, pcrs } = await foreign('rsa')
    const key = await readFile(path('rsa.tss'))
    const malformed = expect.objectContaining({ code: 'MALFORMED_INPUT' })
    for (let length = 0; length < pcrs.length; length += 7) {
      expect(() => parsePcrFile(pcrs.subarray(0, length))).toThrow(malformed)
    }
    for (let length = 0; length < signature.length; length++) {
      expect(() => parseQuoteFiles(message, signature.subarray(0, length), key)).toThrow(malformed)
    }
    for (let length = 0; length < key.length; length++) {
      expect(() => parseQuoteFiles(message, signature, key.subarray(0, length))).toThrow(malformed)
    }
  })

  it('are taken by tpm2_checkquote when they are ours, and refused when altered', async () => {
    await manufactureTpm(toolchain, path('ours'), ['sha256'])
    const pcrs = Array.from({ length: 24 }, (_, pcr) => pcr)
    const evidence = await withTpm(toolchain, path('ours'), path('ours.log'), async (send) => {
      await extendPcr(send, 11, new Map([['sha256', Buffer.alloc(32, 7)]]))
      const values = Object.fromEntries(await readPcrs(send, 'sha256', pcrs))
      const quote = await takeQuote(send, await createAttestationKey(send), { nonce: NONCE, bank: 'sha256', pcrs })
      return { quote, values: parsePcrBanks({ sha256: values }), firmwareLog: Buffer.of(), userspaceLog: Buffer.of() }
    })
    for (const [name, content] of evidenceFiles(evidence)) await writeFile(path(name), content)
    const check = async (nonce: string, message = 'quote.msg') => {
      // biome-ignore format: an option and its value on one line
      const argv = [
        'tpm2_checkquote',
        '-u', path('ak.pem'),
        '-m', path(message),
        '-s', path('quote.sig'),
        '-f', path('quote.pcrs'),
        '-g', 'sha256',
        '-q', nonce,
      ]
      return (await runUnchecked(toolchain.command(argv))).exitCode
    }
    expect(await check('0badc0de')).toBe(0)
    expect(await check('0badc0df')).not.toBe(0)
    const altered = Buffer.from(evidence.quote.attested)
    altered[altered.length - 1] = (altered.at(-1) ?? 0) ^ 1
    await writeFile(path('altered.msg'), altered)
    expect(await check('0badc0de', 'altered.msg')).not.toBe(0)
    const read = parseQuoteFiles(
      await readFile(path('quote.msg')),
      await readFile(path('quote.sig')),
      await readFile(path('ak.pem')),
    )
    expect(read).toEqual(evidence.quote)
    expect(parsePcrFile(await readFile(path('quote.pcrs')))).toEqual(evidence.values)
    expect(parsePcrFile(await readFile(path('pcrs.json')))).toEqual(evidence.values)
  })
})
