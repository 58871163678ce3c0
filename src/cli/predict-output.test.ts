import { generateKeyPairSync } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { DEFAULT_PHASE_PATHS, type PredictedEvent } from '../measure/index.ts'
import {
  checkPredictOutput,
  type PredictOutputOptions,
  parsePcrs,
  parsePredictFormat,
  writePrediction,
} from './predict-output.ts'

let directory: string
let complaints: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bootwright-predict-'))
  complaints = ''
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    complaints += text
    return true
  })
})

afterEach(async () => {
  vi.restoreAllMocks()
  await rm(directory, { recursive: true, force: true })
})

const bytes = (text: string) => ({ kind: 'bytes', bytes: Buffer.from(text) }) as const
const events: PredictedEvent[] = [
  { pcr: 4, type: 4, by: 'firmware', what: 'separator', measured: bytes('\0\0\0\0') },
  { pcr: 9, type: 6, by: 'kernel', what: 'initrd', measured: { kind: 'unknown', why: 'it has a secret' } },
  { pcr: 11, type: 'word', by: 'system', what: 'phase ready', measured: bytes(DEFAULT_PHASE_PATHS[0]?.[0] ?? '') },
]
const image = { name: 'cloud', version: '1', identity: 'abc' }
const machine = {
  image,
  firmware: 'plain',
  cloud: 'aws',
  banks: ['sha1', 'sha256'],
  commandLine: 'rw',
  events,
  refusal: undefined,
} as const

async function written(options: Omit<PredictOutputOptions, 'output'>) {
  const output = join(directory, 'out')
  const isComplete = await writePrediction(machine, { ...options, output })
  return { isComplete, text: await readFile(output, 'utf8') }
}

describe('writePrediction()', () => {
  it('is complete only when all that was asked for is known', async () => {
    expect((await written({ format: 'json' })).isComplete).toBe(false)
    const some = await written({ format: 'json', pcrs: [4, 11] })
    expect(some.isComplete).toBe(true)
    expect(JSON.parse(some.text).events).toHaveLength(2)
    expect((await written({ format: 'text', pcrs: [4] })).text).toContain('Everything is known.')
    expect((await written({ format: 'text' })).text).toContain('What cannot be known')
  })

  it('writes what verifiers read, and names what is left out', async () => {
    const keylime = await written({ format: 'keylime' })
    expect(keylime.isComplete).toBe(false)
    expect(complaints).toBe('PCR 9 is left out: initrd: it has a secret\n')
    expect(JSON.parse(keylime.text)).toMatchObject({ mask: '0x810', 4: [expect.stringMatching(/^[0-9a-f]{64}$/)] })
    const cel = await written({ format: 'cel', pcrs: [4] })
    expect(cel.isComplete).toBe(true)
    expect(JSON.parse(cel.text)).toHaveLength(1)
    expect(await readdir(directory)).toEqual(['out'])
  })

  it('is not complete for an image that will be refused, whatever is known', async () => {
    const refusal = { by: 'firmware', because: 'secure-boot', image: 'x.efi', why: 'it is not signed' } as const
    const output = join(directory, 'out')
    expect(await writePrediction({ ...machine, refusal }, { format: 'json', pcrs: [4], output })).toBe(false)
    expect(await writePrediction({ ...machine, refusal }, { format: 'keylime', pcrs: [4], output })).toBe(false)
  })

  it('signs with a key from a file', async () => {
    const privateKey = join(directory, 'key.pem')
    const { privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    await writeFile(privateKey, key.export({ type: 'pkcs8', format: 'pem' }))
    const { text } = await written({ format: 'pcrsig', pcrs: [11], privateKey, policyref: 'ours' })
    expect(Object.keys(JSON.parse(text))).toEqual(['sha1', 'sha256'])
    expect(JSON.parse(text).sha256).toMatchObject([{ pcrs: [11], ref: 'ours' }])
    await writeFile(privateKey, 'no key')
    await expect(written({ format: 'pcrsig', privateKey })).rejects.toThrow(/Expected a private key in .*key.pem/)
  })

  it('writes components into a directory that was not there', async () => {
    const output = join(directory, 'components')
    expect(await writePrediction(machine, { format: 'pcrlock', output })).toBe(false)
    expect(await readdir(output)).toEqual(['250-firmware-pcr-4.pcrlock', '900-ready-pcr-11.pcrlock'])
    expect(() => checkPredictOutput({ format: 'pcrlock', output })).toThrow(/Expected no .*components yet/)
  })
})

describe('the options of predict', () => {
  it('say what cannot be', () => {
    expect(parsePcrs('0-2,7,1')).toEqual([0, 1, 2, 7])
    for (const text of ['', '24', '3-1', 'x', '1,,2', '-1']) expect(() => parsePcrs(text)).toThrow(/--pcrs, found/)
    expect(() => parsePredictFormat('xml')).toThrow(/no format "xml"; there are: cel, json, keylime/)
    expect(() => checkPredictOutput({ format: 'pcrlock' })).toThrow(/expected --output DIRECTORY/)
    expect(() => checkPredictOutput({ format: 'pcrsig' })).toThrow(/Expected --private-key/)
    expect(() => checkPredictOutput({ format: 'text', privateKey: 'key.pem' })).toThrow(/and only there/)
  })
})
