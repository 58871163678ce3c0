import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parseEfiSignatureLists, parseEfiVariableStore } from '../../../formats/index.ts'
import { readyToolchain, type Toolchain } from '../../../toolchain/index.ts'
import {
  extendsOf,
  parseEventLog,
  parseOvmf,
  predictedDigest,
  predictFirmware,
  predictPcrs,
  secureBootState,
} from '../../index.ts'
import { ascii, garbage, resultOrMalformed } from '../../log-writer.test-support.ts'

const FIXTURES = join(import.meta.dirname, 'fixtures')
/** The code file that the recorded boots had. */
const RECORDED = '7e34e3b83224968bb0714c0ebc88f75c5c37b4cc892c902e511ccc7a7c107f94'

const toolchain = (await readyToolchain().catch(() => undefined)) as Toolchain
const firmwareFile = (name: string): Buffer => readFileSync(join(toolchain.root, 'usr/share/OVMF', name))
const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

describe.skipIf(toolchain === undefined)('parseOvmf()', () => {
  it('knows a build without Secure Boot from one with it', () => {
    const plain = parseOvmf(firmwareFile('OVMF_CODE_4M.fd'))
    expect(plain).toMatchObject({ hasSecureBoot: false, hasSmm: false, hasShell: true })
    expect(plain.peifv.byteLength).toBe(0xd0000)
    expect(plain.dxefv.byteLength).toBe(0xe80000)
    const secureBoot = parseOvmf(firmwareFile('OVMF_CODE_4M.secboot.fd'))
    expect(secureBoot).toMatchObject({ hasSecureBoot: true, hasSmm: true, hasShell: false, version: plain.version })
  })

  it('gives PCR 0 as the TPMs of the recorded boots have it', ({ skip }) => {
    const code = firmwareFile('OVMF_CODE_4M.fd')
    skip(digest(code) !== RECORDED, 'the tools have another version of OVMF than the recorded boots')
    const firmware = parseOvmf(code)
    expect(firmware.version).toBe('2026.08+ds-2')
    expect(firmware.bios).toEqual({
      vendor: 'Debian distribution of EDK II',
      version: '2026.08+ds-2',
      releaseDate: '09/26/2026',
    })
    for (const image of ['minimal', 'cloud']) {
      const { sha256 } = JSON.parse(readFileSync(join(FIXTURES, image, 'pcrs.json'), 'utf8')) as {
        sha256: Record<string, string>
      }
      const events = predictFirmware({ firmware, variables: { variables: [] } }).filter(({ pcr }) => pcr === 0)
      const log = parseEventLog(readFileSync(join(FIXTURES, image, 'event-log.bin')))
      const logged = extendsOf(log).filter(({ pcr }) => pcr === 0)
      expect(events.map((event) => Buffer.from(predictedDigest(event, 'sha256') ?? []).toString('hex'))).toEqual(
        logged.map(({ digests }) => Buffer.from(digests.get('sha256') ?? []).toString('hex')),
      )
      const osSeparator = { kind: 'bytes', bytes: ascii('os-separator') } as const
      const predicted = predictPcrs(
        [...events, { pcr: 0, type: 'word', by: 'system', what: 'os-separator', measured: osSeparator }],
        ['sha256'],
      )
      expect(predicted.get('sha256')?.get(0)).toEqual({ kind: 'known', values: [sha256[0]] })
    }
  })

  it('notices one flipped byte in what is measured, and is not moved by one elsewhere', () => {
    const code = firmwareFile('OVMF_CODE_4M.fd')
    const { peifv, dxefv } = parseOvmf(code)
    const afterFlip = (offset: number) => {
      const copy = Buffer.from(code)
      copy[offset] = (copy[offset] ?? 0) ^ 1
      return resultOrMalformed(() => parseOvmf(copy))
    }
    // The volumes are compressed, without a checksum: a flip is an error in the stream, or other bytes from there on.
    for (const offset of [1000, 100_000, 1_000_000]) {
      const changed = afterFlip(offset)
      const isSame = changed !== undefined && dxefv.every((byte, index) => byte === changed.dxefv[index])
      expect(isSame, `at ${offset}`).toBe(false)
    }
    // The code that runs before it, in the volume at the end of the file, is not measured by OVMF.
    const changed = afterFlip(code.byteLength - 0x100)
    expect(digest(changed?.peifv ?? Buffer.of())).toBe(digest(peifv))
    expect(digest(changed?.dxefv ?? Buffer.of())).toBe(digest(dxefv))
  })

  it("reads the stores that come with it: Microsoft's keys, and none", () => {
    const firmware = parseOvmf(firmwareFile('OVMF_CODE_4M.secboot.fd'))
    const microsoft = parseEfiVariableStore(firmwareFile('OVMF_VARS_4M.ms.fd'))
    const state = secureBootState(firmware, microsoft)
    expect(state.mode).toBe('enabled')
    expect(state.db.length).toBeGreaterThan(1)
    expect(state.dbx.flatMap(({ signatures }) => signatures).length).toBeGreaterThan(100)
    expect(
      parseEfiSignatureLists(microsoft.variables.find(({ name }) => name === 'PK')?.data ?? Buffer.of()),
    ).toHaveLength(1)
    const empty = parseEfiVariableStore(firmwareFile('OVMF_VARS_4M.fd'))
    expect(secureBootState(firmware, empty)).toEqual({ mode: 'setup-mode', db: [], dbx: [] })
  })
})

it('parseOvmf() says what is missing in a file that is something else', () => {
  expect(() => parseOvmf(Buffer.alloc(65536))).toThrow('there is no "_FVH"')
  for (let seed = 1; seed <= 100; seed++)
    expect(resultOrMalformed(() => parseOvmf(garbage(seed, seed * 50)))).toBeUndefined()
})
