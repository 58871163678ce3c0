import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { parseEfiVariableStore, withEfiVariable } from '../../formats/index.ts'
import {
  actualEvents,
  calibrationFrom,
  compareEvents,
  type EventFinding,
  type OvmfFirmware,
  parseEventLog,
  predictFirmware,
  summarizeFindings,
} from '../index.ts'
import { ascii } from '../log-writer.test-support.ts'
import { SECURITY, told } from './compare-events.test-support.ts'

describe('the prediction of the firmware and the recorded boots', () => {
  const fixtures = join(import.meta.dirname, 'firmware', 'fixtures')
  const log = (image: string) => parseEventLog(readFileSync(join(fixtures, image, 'event-log.bin')))
  const store = gunzipSync(readFileSync(join(fixtures, 'variables-before.fd.gz')))
  // The code file is not here, so its two volumes differ.
  const firmware: OvmfFirmware = {
    version: '2026.08+ds-2',
    bios: undefined,
    peifv: ascii('PEIFV'),
    dxefv: ascii('DXEFV'),
    hasSecureBoot: false,
    hasSmm: false,
    hasShell: true,
  }
  const volumes = ['0 different: firmware volume PEIFV', '0 different: firmware volume DXEFV']
  const predict = (changes: Partial<Parameters<typeof predictFirmware>[0]> = {}) =>
    predictFirmware({
      firmware,
      variables: parseEfiVariableStore(store),
      smbiosTable: readFileSync(join(fixtures, 'minimal', 'smbios-table.bin')),
      generationId: 'b0070000-2222-4333-8444-555555555555',
      bootDevice: { pciDevice: 1 },
      calibration: calibrationFrom(log('cloud')),
      ...changes,
    })
  // What the firmware measures before it starts anything.
  const actual = actualEvents(log('minimal')).slice(0, 28)
  const titles = (findings: readonly EventFinding[]): string[] =>
    told(findings).map((line) => line.split(': ', 2).join(': '))

  it('agree in every record', () => {
    const findings = compareEvents(predict(), actual, ['sha256'])
    expect(titles(findings)).toEqual(volumes)
    expect([...summarizeFindings(findings)].map(([pcr, { predicted, equal }]) => [pcr, predicted, equal])).toEqual([
      [0, 4, 2],
      [1, 12, 12],
      [2, 1, 1],
      [3, 1, 1],
      [4, 2, 2],
      [5, 1, 1],
      [6, 1, 1],
      [7, 6, 6],
    ])
  })

  it('differ where a variable does, from what to what', () => {
    const variables = parseEfiVariableStore(
      withEfiVariable(store, { name: 'dbx', vendorGuid: SECURITY, attributes: 0x27, data: Buffer.of(1) }),
    )
    const findings = compareEvents(predict({ variables, bootDevice: { pciDevice: 2 } }), actual, ['sha256'])
    expect(told(findings).slice(2)).toEqual([
      expect.stringMatching(
        /^1 different: variable Boot0002 \(UEFI Misc Device\): expected .*Pci\(0x2,0x0\).*, found .*Pci\(0x1,0x0\)/,
      ),
      expect.stringMatching(/^7 different: variable dbx: expected 1 bytes, found 0, the first difference at byte 0: /),
    ])
  })

  it('leave unknown what was not calibrated, and nothing else', () => {
    const findings = compareEvents(predictFirmware({ firmware, variables: parseEfiVariableStore(store) }), actual, [
      'sha256',
    ])
    expect(titles(findings).slice(0, 2)).toEqual(volumes)
    expect(new Set(titles(findings).slice(2))).toEqual(
      new Set([
        '1 unknown: ACPI blob etc/table-loader and those that it names',
        '1 unknown: SMBIOS structure table',
        '1 unknown: variables BootOrder and Boot####',
      ]),
    )
    expect(summarizeFindings(findings).get(1)).toEqual({
      predicted: 4,
      actual: 12,
      equal: 1,
      different: 0,
      missing: 0,
      unexpected: 0,
      unknown: 11,
    })
  })
})
