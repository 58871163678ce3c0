import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runUnchecked } from '../system/index.ts'

const PROGRAM = join(import.meta.dirname, 'main.ts')
const FIXTURE = join(import.meta.dirname, '../measure/prediction/fixtures/minimal')
const LOGS = ['--event-log', join(FIXTURE, 'event-log.bin'), '--userspace', join(FIXTURE, 'tpm2-measure.log')]
const VALUES = ['--values', join(FIXTURE, 'pcrs.json')]
/** But for 10, which IMA extends. */
const PCRS = [0, 1, 2, 3, 4, 5, 7, 9, 11, 12, 13, 14, 15]

let directory: string
let key: KeyObject
let values: Record<string, string>
let quote: string[]

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bootwright-attest-'))
  key = createPrivateKey(
    generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs8', format: 'pem' }),
  )
  values = JSON.parse(await readFile(join(FIXTURE, 'pcrs.json'), 'utf8')).sha256
  quote = await quoteFiles('quote')
})
afterAll(() => rm(directory, { recursive: true, force: true }))

function attest(...args: string[]) {
  return runUnchecked({ argv: [process.execPath, PROGRAM, 'attest', ...args] })
}

async function file(name: string, content: string | Uint8Array): Promise<string> {
  const path = join(directory, name)
  await writeFile(path, content)
  return path
}

/** TPMS_ATTEST of the PCRs of a machine that has really booted, and a signature: TPM 2.0 Part 2, 10.12.12 and 11.3.4. */
async function quoteFiles(name: string): Promise<string[]> {
  const selected = Buffer.alloc(3)
  for (const pcr of PCRS) selected[pcr >> 3] = (selected[pcr >> 3] ?? 0) | (1 << (pcr & 7))
  const digest = createHash('sha256')
    .update(Buffer.from(PCRS.map((pcr) => values[pcr]).join(''), 'hex'))
    .digest()
  const zeros = '0'.repeat(16)
  const hex = [
    'ff544347801800000002cafe',
    `${zeros}000000010000000001${zeros}`,
    `00000001000b03${selected.toString('hex')}`,
    `0020${digest.toString('hex')}`,
  ]
  const message = Buffer.from(hex.join(''), 'hex')
  const signature = Buffer.concat([Buffer.from('0014000b0100', 'hex'), sign('sha256', message, key)])
  const pem = createPublicKey(key).export({ type: 'spki', format: 'pem' })
  return [
    '--quote',
    await file(`${name}.msg`, message),
    '--signature',
    await file(`${name}.sig`, signature),
    '--key',
    await file(`${name}.pem`, pem),
  ]
}

describe('bootwright attest --quote', () => {
  it('judges a quote with its values, logs and prediction', async () => {
    const pcrs = {
      sha256: Object.fromEntries(
        PCRS.map((pcr) => [pcr, pcr === 9 ? { unknown: ['a secret'] } : { values: [values[pcr]] }]),
      ),
    }
    const prediction = await file('prediction.json', JSON.stringify({ schema: 1, pcrs }))
    const { exitCode, stdout, stderr } = await attest(
      ...quote,
      ...VALUES,
      ...LOGS,
      '--nonce',
      'CAFE',
      '--prediction',
      prediction,
    )
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' })
    expect(stdout).toContain('13 quoted values, 52 firmware and 19 userspace records')
    expect(stdout).toContain('12 values are as predicted, 1 cannot be')
    expect(stdout).toContain('It holds: 5 passed, 0 failed, 3 not asked')

    pcrs.sha256[11] = { values: ['00'.repeat(32)] }
    const other = await file('other.json', JSON.stringify({ schema: 1, pcrs }))
    const wrong = await attest(...quote, ...VALUES, '--prediction', other)
    expect(wrong.exitCode).toBe(1)
    expect(wrong.stdout).toContain(`expected  PCR 11 (sha256) ${'00'.repeat(32)}`)
  })

  it('takes the values that the logs lead to when none are given', async () => {
    const { exitCode, stdout } = await attest(...quote, ...LOGS, '--json')
    expect(exitCode).toBe(0)
    const report = JSON.parse(stdout)
    expect(report).toMatchObject({ schema: 1, quote: { nonce: 'cafe', selections: [{ bank: 'sha256', pcrs: PCRS }] } })
    const { status, evidence } = report.checks.find(({ id }: { id: string }) => id === 'quote-values')
    expect({ status, evidence }).toEqual({ status: 'passed', evidence: ['13 values that the event logs lead to'] })
  })

  it('does not hold with another nonce, log, value or key', async () => {
    expect((await attest(...quote, '--nonce', 'cafd')).exitCode).toBe(1)
    const log = await readFile(join(FIXTURE, 'event-log.bin'))
    log[log.indexOf(Buffer.from('df3f619804a9', 'hex'))] = 0
    const altered = await attest(...quote, ...VALUES, '--event-log', await file('altered.bin', log), ...LOGS.slice(2))
    expect(altered.exitCode).toBe(1)
    expect(altered.stdout).toContain('✗ The event logs replay to the quoted values')
    const pcrs = await file('values.json', JSON.stringify({ sha256: { ...values, 4: '11'.repeat(32) } }))
    expect((await attest(...quote, '--values', pcrs)).stdout).toContain(
      '✗ The PCR values are those that the quote is about',
    )
    const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const other = await file('other.pem', publicKey.export({ type: 'spki', format: 'pem' }))
    const forged = await attest(...quote.slice(0, 4), '--key', other, ...VALUES, ...LOGS)
    expect(forged.exitCode).toBe(1)
    expect(forged.stdout).toContain('– The event logs replay to the quoted values')
  })

  it('refuses what it cannot judge, with exit status 2', async () => {
    const garbage = await file('garbage', 'no quote')
    const refused = async (...args: string[]) => {
      const { exitCode, stderr } = await attest(...args)
      expect(exitCode).toBe(2)
      return stderr
    }
    expect(await refused('--quote', garbage, ...quote.slice(2))).toContain('Cannot read TPMS_ATTEST of a TPM')
    expect(await refused(...quote.slice(0, 4))).toContain('proves nothing without its signature and a key')
    expect(await refused('minimal', ...quote)).toContain('Expected an image or --quote, found both')
    expect(await refused('--values', garbage)).toContain('without the quote itself')
    expect(await refused(...quote, '--nonce', 'xy')).toContain('for --nonce, found "xy"')
    expect(await refused(...quote, '--prediction', garbage)).toContain('It is no prediction')
    expect(await refused(...quote, '--values', garbage)).toContain('too short for PCR selections')
  })
})
