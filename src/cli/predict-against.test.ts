import { generateKeyPairSync } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type PredictedEvent, pcrlockFiles, pcrSignatures, referenceValues } from '../measure/index.ts'
import { againstText, predictedAgainst } from './predict-against.ts'

let directory: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bootwright-against-'))
})
afterEach(() => rm(directory, { recursive: true, force: true }))

const bytes = (text: string) => ({ kind: 'bytes', bytes: Buffer.from(text) }) as const
const events: PredictedEvent[] = [
  { pcr: 4, type: 4, by: 'firmware', what: 'separator', measured: bytes('\0\0\0\0') },
  { pcr: 11, type: 13, by: 'stub', what: 'section .linux', measured: bytes('linux') },
  { pcr: 11, type: 'word', by: 'system', what: 'phase ready', measured: bytes('ready') },
]
const other = events.map((event) => (event.what === 'section .linux' ? { ...event, measured: bytes('other') } : event))
const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
const pem = publicKey.export({ type: 'spki', format: 'pem' })
const signatures = JSON.stringify(pcrSignatures(referenceValues(events, ['sha256', 'sha512'], [11]), privateKey))

async function put(name: string, content: string | Uint8Array): Promise<string> {
  const path = join(directory, name)
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, content)
  return path
}

describe('predictedAgainst()', () => {
  it('takes signed policies from a file, with a key', async () => {
    const path = await put('pcrsig.json', signatures)
    const key = await put('key.pem', pem)
    const held = await predictedAgainst(events, ['sha256'], { against: path, publicKey: key })
    expect(againstText(held)).toBe(`${path}: holds\n  sha256 PCR 11: met after ready; signature valid\n`)
    expect(await predictedAgainst(other, ['sha256'], { against: path, publicKey: key })).toMatchObject({
      isHeld: false,
    })
    // Nothing is said of a bank that no policy is about.
    expect(await predictedAgainst(events, ['sha384'], { against: path })).toMatchObject({ isHeld: false, policies: [] })
  })

  it('takes components of pcrlock from a directory', async () => {
    for (const { path, content } of pcrlockFiles(referenceValues(events, ['sha256'], [11]))) {
      await put(join('pcrlock.d', path), content)
    }
    const against = join(directory, 'pcrlock.d')
    const held = await predictedAgainst(events, ['sha256'], { against })
    expect(againstText(held)).toBe(
      `${against}: holds\n  PCR 4: no component is about it\n` +
        '  PCR 11: 650-stub-pcr-11.pcrlock, 900-ready-pcr-11.pcrlock\n',
    )
    expect(againstText(await predictedAgainst(other, ['sha256'], { against }))).toContain(
      'does not hold\n  PCR 4: no component is about it\n  PCR 11: no variant of 650-stub-pcr-11 fits',
    )
  })

  it('refuses what is neither', async () => {
    const options = (against: string, publicKey?: string) => ({
      against,
      ...(publicKey === undefined ? {} : { publicKey }),
    })
    await expect(predictedAgainst(events, ['sha256'], options(directory))).rejects.toThrow(/found no .pcrlock file/)
    await expect(predictedAgainst(events, ['sha256'], options('/nowhere'))).rejects.toThrow(/there is no such file/)
    const path = await put('text', 'a text')
    await expect(predictedAgainst(events, ['sha256'], options(path))).rejects.toMatchObject({ code: 'MALFORMED_INPUT' })
    const signed = await put('pcrsig.json', signatures)
    await expect(predictedAgainst(events, ['sha256'], options(signed, path))).rejects.toThrow(
      /Expected a public key in/,
    )
  })
})
