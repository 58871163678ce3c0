import { describe, expect, it } from 'vitest'
import { digestsOf, type HashAlgorithm, initialPcrValue, type PcrExtend, replay } from '../../measure/index.ts'
import { asking, type Guest, PCRS, pcrFiles, TPM } from '../guest.test-support.ts'
import { eventLogReplays } from './event-log.ts'
import { pcr11 } from './pcr-11.ts'
import { tpmPresent } from './tpm-present.ts'

const FIRMWARE_LOG = '/sys/kernel/security/tpm0/binary_bios_measurements'
const USERSPACE_LOG = '/run/log/systemd/tpm2-measure.log'
const IMA = '/sys/kernel/security/ima'
const ZEROS = '0'.repeat(64)
const ONES = 'ff'.repeat(32)
const VERSION = `cat ${TPM}/tpm_version_major`

/** A guest with a TPM whose PCRs have these values. */
function withPcrs(banks: Readonly<Record<string, Readonly<Record<number, string>>>>, guest: Guest = {}): Guest {
  return {
    ...guest,
    files: { [TPM]: '', ...guest.files },
    commands: { [PCRS]: pcrFiles(banks), [VERSION]: '2\n', ...guest.commands },
  }
}

describe('tpm-present', () => {
  const present = withPcrs({ sha256: { 0: ZEROS } })

  it('passes with the banks that were asked for', async () => {
    expect(await asking(tpmPresent, present)).toEqual({ status: 'passed', evidence: ['TPM 2.0 with sha256'] })
    const both = withPcrs({ sha384: { 0: '0'.repeat(96) }, sha256: { 0: ZEROS } })
    const spec = { tpm: { banks: ['sha384', 'sha256'] as const } }
    expect(await asking(tpmPresent, { ...both, spec })).toMatchObject({ status: 'passed' })
  })

  it('fails without one, with one too many, with other banks and with an old one', async () => {
    expect(await asking(tpmPresent, {})).toMatchObject({ status: 'failed', found: 'none' })
    expect(await asking(tpmPresent, { ...present, spec: { tpm: 'absent' } })).toMatchObject({ status: 'failed' })
    const two = withPcrs({ sha1: { 0: '0'.repeat(40) }, sha256: { 0: ZEROS } })
    expect(await asking(tpmPresent, two)).toMatchObject({
      status: 'failed',
      expected: 'banks sha256',
      found: 'banks sha1, sha256',
    })
    const old = withPcrs({ sha256: { 0: ZEROS } }, { commands: { [VERSION]: '1\n' } })
    expect(await asking(tpmPresent, old)).toMatchObject({ status: 'failed', found: 'TPM 1' })
  })

  it('passes without one where none was asked for', async () => {
    expect(await asking(tpmPresent, { spec: { tpm: 'absent' } })).toMatchObject({ status: 'passed' })
  })
})

describe('pcr-11', () => {
  const value = 'ab'.repeat(32)
  const predicted = (...banks: [HashAlgorithm, string][]) => ({
    prediction: { pcr11: new Map(banks), sections: ['.linux 5 bytes'], events: [] },
  })

  it('passes when every bank has the value, in whatever case the kernel writes it', async () => {
    const guest = withPcrs({ sha256: { 11: value.toUpperCase() } })
    expect(await asking(pcr11, guest, predicted(['sha256', value]))).toEqual({
      status: 'passed',
      evidence: [`sha256 ${value}`],
    })
  })

  it('fails on another value, with both and what it was predicted from', async () => {
    const result = await asking(pcr11, withPcrs({ sha256: { 11: ONES } }), predicted(['sha256', value]))
    expect(result).toMatchObject({ status: 'failed', expected: value, found: ONES })
    expect(result.evidence.join('\n')).toContain('.linux 5 bytes')
  })

  it('fails when one bank of several is wrong or is not there', async () => {
    const long = 'cd'.repeat(48)
    const guest = withPcrs({ sha256: { 11: value } })
    expect(await asking(pcr11, guest, predicted(['sha256', value], ['sha384', long]))).toMatchObject({
      status: 'failed',
      expected: long,
      found: 'no bank sha384',
    })
  })

  it('fails when nothing was predicted: nothing was compared', async () => {
    expect(await asking(pcr11, withPcrs({ sha256: { 11: value } }), predicted())).toMatchObject({ status: 'failed' })
  })

  it('is unsupported without a TPM', async () => {
    expect(await asking(pcr11, {}, predicted(['sha256', value]))).toMatchObject({ status: 'unsupported' })
  })
})

/** A log of the crypto-agile format (TCG PC Client Platform Firmware Profile, 10.2) with one bank. */
function firmwareLog(events: readonly { pcr: number; text: string }[]): Buffer {
  const u32 = (value: number) => Buffer.from(Uint32Array.of(value).buffer)
  const u16 = (value: number) => Buffer.from(Uint16Array.of(value).buffer)
  const specId = Buffer.concat([
    Buffer.from('Spec ID Event03\0'),
    u32(0),
    Buffer.of(0, 2, 0, 2),
    u32(1),
    u16(0x0b),
    u16(32),
    Buffer.of(0),
  ])
  const header = Buffer.concat([u32(0), u32(3), Buffer.alloc(20), u32(specId.length), specId])
  const records = events.map(({ pcr, text }) => {
    const digest = digestsOf(['sha256'], Buffer.from(text)).get('sha256') ?? Buffer.alloc(0)
    return Buffer.concat([u32(pcr), u32(0xd), u32(1), u16(0x0b), digest, u32(text.length), Buffer.from(text)])
  })
  return Buffer.concat([header, ...records])
}

const extend = (pcr: number, text: string): PcrExtend => ({ pcr, digests: digestsOf(['sha256'], Buffer.from(text)) })

function userspaceRecord(pcr: number, text: string): string {
  const digest = Buffer.from(digestsOf(['sha256'], Buffer.from(text)).get('sha256') ?? []).toString('hex')
  return `\x1e${JSON.stringify({ pcr, digests: [{ hashAlg: 'sha256', digest }] })}\n`
}

/** All PCRs after these records. */
function values(...records: PcrExtend[]): Record<number, string> {
  return Object.fromEntries(replay(records, ['sha256']).values.get('sha256') ?? [])
}

describe('event-log', () => {
  const firmware = [
    { pcr: 4, text: 'loader' },
    { pcr: 11, text: 'kernel' },
  ]
  const records = [extend(4, 'loader'), extend(11, 'kernel')]
  const log = firmwareLog(firmware)

  it('passes when both logs together lead to every PCR', async () => {
    const guest = withPcrs(
      { sha256: values(...records, extend(11, 'ready')) },
      { files: { [FIRMWARE_LOG]: log, [USERSPACE_LOG]: userspaceRecord(11, 'ready') } },
    )
    expect(await asking(eventLogReplays, guest)).toEqual({
      status: 'passed',
      evidence: ['24 PCR values from 3 firmware and 1 userspace records'],
    })
  })

  it('names the PCR that the logs do not lead to', async () => {
    const guest = withPcrs({ sha256: { ...values(...records), 7: ONES } }, { files: { [FIRMWARE_LOG]: log } })
    const result = await asking(eventLogReplays, guest)
    expect(result).toMatchObject({ status: 'failed', found: '1 that differ' })
    expect(result.evidence[0]).toMatch(/^PCR 7 \(sha256\): replayed 0+, found f+ \(unknown\)$/)
  })

  it('fails when the userspace log is not there', async () => {
    const guest = withPcrs({ sha256: values(...records, extend(11, 'ready')) }, { files: { [FIRMWARE_LOG]: log } })
    expect(await asking(eventLogReplays, guest)).toMatchObject({ status: 'failed', found: '1 that differ' })
  })

  it('leaves PCR 10 out for a kernel with IMA, and says so; without IMA it counts', async () => {
    const found = { sha256: { ...values(...records), 10: ONES } }
    const ima = await asking(eventLogReplays, withPcrs(found, { files: { [FIRMWARE_LOG]: log, [IMA]: '' } }))
    expect(ima.status).toBe('passed')
    expect(ima.evidence.join('\n')).toContain('PCR 10 left out')
    expect(await asking(eventLogReplays, withPcrs(found, { files: { [FIRMWARE_LOG]: log } }))).toMatchObject({
      status: 'failed',
    })
  })

  it('fails when a PCR was not read, however well the others replay', async () => {
    const { 7: _, ...most } = values(...records)
    const guest = withPcrs({ sha256: most }, { files: { [FIRMWARE_LOG]: log } })
    expect(await asking(eventLogReplays, guest)).toMatchObject({
      status: 'failed',
      expected: 'PCRs 0 to 23 of every bank',
      found: 'sha256 without PCR 7',
    })
  })

  it('fails when there is nothing to compare', async () => {
    const guest = withPcrs({}, { files: { [FIRMWARE_LOG]: log }, commands: { [PCRS]: 'noise\n' } })
    expect(await asking(eventLogReplays, guest)).toMatchObject({ status: 'failed', expected: 'PCR values' })
  })

  it('rejects a log that is damaged or cannot be read', async () => {
    const pcrs = { sha256: { 0: Buffer.from(initialPcrValue('sha256', 0)).toString('hex') } }
    const cut = withPcrs(pcrs, { files: { [FIRMWARE_LOG]: log.subarray(0, -3) } })
    await expect(asking(eventLogReplays, cut)).rejects.toMatchObject({ code: 'MALFORMED_INPUT' })
    await expect(asking(eventLogReplays, withPcrs(pcrs))).rejects.toMatchObject({ code: 'GUEST_COMMAND_FAILED' })
  })

  it('is unsupported without a TPM', async () => {
    expect(await asking(eventLogReplays, {})).toMatchObject({ status: 'unsupported' })
  })
})
