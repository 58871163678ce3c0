import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { parseEfiVariableStore, parseGuid, parseSmbiosTable, withEfiVariable } from '../../../formats/index.ts'
import {
  calibrationFrom,
  eventTypeName,
  extendsOf,
  type FirmwareInputs,
  type OvmfFirmware,
  type PredictedEvent,
  parseEventLog,
  predictedDigest,
  predictFirmware,
  predictPcrs,
  replayEventLog,
  type TcgEvent,
} from '../../index.ts'
import { agileLog, ascii, separator } from '../../log-writer.test-support.ts'

const FIXTURES = join(import.meta.dirname, 'fixtures')
const GLOBAL = '8be4df61-93ca-11d2-aa0d-00e098032b8c'
const SECURITY = 'd719b2cb-3d3a-4596-a3bc-dad00e67656f'
const SECURE_BOOT_ENABLE = 'f0a30bc7-af08-4556-99c4-001009c93a44'
const GENERATION_ID = 'b0070000-2222-4333-8444-555555555555'
const IMAGES = [
  ['minimal', 'cloud'],
  ['cloud', 'minimal'],
] as const

// The code file is not here: what depends on its volumes (PCR 0) is tested in ovmf.test.ts.
const plain: OvmfFirmware = {
  version: '2026.08+ds-2',
  bios: undefined,
  peifv: ascii('PEIFV'),
  dxefv: ascii('DXEFV'),
  hasSecureBoot: false,
  hasSmm: false,
  hasShell: true,
}
const secureBoot: OvmfFirmware = { ...plain, hasSecureBoot: true, hasSmm: true, hasShell: false }
const emptyStore = gunzipSync(readFileSync(join(FIXTURES, 'variables-before.fd.gz')))

function recordedLog(image: string) {
  return parseEventLog(readFileSync(join(FIXTURES, image, 'event-log.bin')))
}

/** What is known before `image` is booted; the calibration is the other one's, of the same shape. */
function inputsFor(image: string, other: string): FirmwareInputs {
  return {
    firmware: plain,
    variables: parseEfiVariableStore(emptyStore),
    smbiosTable: readFileSync(join(FIXTURES, image, 'smbios-table.bin')),
    generationId: GENERATION_ID,
    bootDevice: { pciDevice: 1 },
    calibration: calibrationFrom(recordedLog(other)),
  }
}
const inputs = inputsFor('minimal', 'cloud')

function sha256(digest: Uint8Array | undefined): string {
  return digest === undefined ? 'unknown' : Buffer.from(digest).toString('hex')
}
function predictedLine(event: PredictedEvent): string {
  return `${event.pcr} ${eventTypeName(Number(event.type))} ${sha256(predictedDigest(event, 'sha256'))}`
}
function loggedLine({ pcr, untrustedType, digests }: TcgEvent): string {
  return `${pcr} ${eventTypeName(untrustedType)} ${sha256(digests.get('sha256'))}`
}
/** Everything but the volumes, which are not here. */
const isNoVolume = (line: string): boolean => !line.includes('EV_EFI_PLATFORM_FIRMWARE_BLOB')

/** What moved from one prediction to another one, in words. */
function moved(changed: FirmwareInputs, from = inputs): string[] {
  const [before, after] = [predictFirmware(from), predictFirmware(changed)]
  expect(after).toHaveLength(before.length)
  return after
    .filter((event, index) => predictedLine(event) !== predictedLine(before[index] ?? event))
    .map((e) => e.what)
}

describe('predictFirmware()', () => {
  it.for(IMAGES)('gives the firmware records of the recorded boot of %s, in order', ([image, other]) => {
    const predicted = predictFirmware(inputsFor(image, other)).map(predictedLine)
    const actual = extendsOf(recordedLog(image)).map(loggedLine)
    expect(predicted.filter(isNoVolume)).toEqual(actual.slice(0, predicted.length).filter(isNoVolume))
    expect(predicted).toHaveLength(28)
    // And nothing of the firmware follows, but what depends on the image that it starts.
    const rest = extendsOf(recordedLog(image)).slice(predicted.length)
    expect(rest.filter(({ pcr }) => [0, 2, 3, 6, 7].includes(pcr))).toEqual([])
    expect(new Set(rest.filter(({ pcr }) => pcr === 1).map((event) => eventTypeName(event.untrustedType)))).toEqual(
      new Set(['EV_EVENT_TAG']),
    )
  })

  it.for(IMAGES)('gives the data that the log of %s has, where it is the same in each boot', ([image, other]) => {
    const predicted = predictFirmware(inputsFor(image, other))
    const actual = extendsOf(recordedLog(image))
    const withData = predicted.flatMap(({ data }, index) => (data === undefined ? [] : [{ data, index }]))
    expect(withData).toHaveLength(25)
    for (const { data, index } of withData) {
      expect(Buffer.from(actual[index]?.unverifiedData ?? []).toString('hex')).toBe(Buffer.from(data).toString('hex'))
    }
  })

  it.for(IMAGES)('leads to the values that the TPM of %s has, with the separator of the system', ([image, other]) => {
    const pcrs = JSON.parse(readFileSync(join(FIXTURES, image, 'pcrs.json'), 'utf8')) as {
      sha256: Record<string, string>
    }
    const events: PredictedEvent[] = [2, 3, 6, 7].map((pcr) => ({
      pcr,
      type: 'word',
      by: 'system',
      what: 'os-separator',
      measured: { kind: 'bytes', bytes: ascii('os-separator') },
    }))
    const predicted = predictPcrs([...predictFirmware(inputsFor(image, other)), ...events], ['sha256']).get('sha256')
    for (const pcr of [2, 3, 6, 7]) expect(predicted?.get(pcr)).toEqual({ kind: 'known', values: [pcrs.sha256[pcr]] })
  })

  it.for(IMAGES)('knows the boot options of %s from the store that its boot has left', ([image, other]) => {
    const after = gunzipSync(readFileSync(join(FIXTURES, image, 'variables-after.fd.gz')))
    const { bootDevice: _, ...facts } = inputsFor(image, other)
    const predicted = predictFirmware({ ...facts, variables: parseEfiVariableStore(after) })
    expect(predicted.map(predictedLine)).toEqual(predictFirmware(inputsFor(image, other)).map(predictedLine))
    expect(predicted.map(({ what }) => what)).toContain('variable Boot0002 (UEFI Misc Device)')
  })

  it('marks what is calibrated, and computes the rest', () => {
    const calibrated = predictFirmware(inputs).filter(({ isCalibrated }) => isCalibrated)
    expect(calibrated.map(({ what }) => what)).toEqual([
      'ACPI blob etc/table-loader',
      'ACPI blob etc/acpi/rsdp',
      'ACPI blob etc/acpi/tables',
    ])
  })

  it('takes from a calibration what is not given', () => {
    const { smbiosTable: _, generationId: __, bootDevice: ___, ...rest } = inputsFor('minimal', 'minimal')
    const calibrated = predictFirmware(rest)
    expect(calibrated.map(predictedLine)).toEqual(predictFirmware(inputs).map(predictedLine))
    expect(calibrated.filter(({ isCalibrated }) => isCalibrated).map(({ what }) => what)).toEqual([
      'ACPI blob etc/table-loader',
      'ACPI blob etc/acpi/rsdp',
      'ACPI blob etc/vmgenid_guid',
      'ACPI blob etc/acpi/tables',
      'SMBIOS structure table',
      'variable BootOrder',
      'variable Boot0002',
      'variable Boot0000',
      'variable Boot0001',
      'variable Boot0003',
    ])
  })

  it('calls unknown what needs a calibration and has none', () => {
    const events = predictFirmware({ firmware: secureBoot, variables: parseEfiVariableStore(emptyStore) })
    const pcrs = predictPcrs(events, ['sha256']).get('sha256')
    expect([0, 1, 2, 7].map((pcr) => pcrs?.get(pcr)?.kind)).toEqual(['unknown', 'unknown', 'known', 'known'])
    expect(pcrs?.get(0)).toMatchObject({ why: [expect.stringContaining('firmware volume PEIFV: it takes a run')] })
    expect(pcrs?.get(1)).toMatchObject({ why: expect.objectContaining({ length: 3 }) })
  })

  describe('moves just the records that a change is about', () => {
    it('a variable', () => {
      const variables = parseEfiVariableStore(
        withEfiVariable(emptyStore, { name: 'db', vendorGuid: SECURITY, attributes: 0x27, data: Buffer.of(1) }),
      )
      expect(moved({ ...inputs, variables })).toEqual(['variable db'])
    })

    it('one byte of a stored boot option', () => {
      const after = gunzipSync(readFileSync(join(FIXTURES, 'minimal/variables-after.fd.gz')))
      const stored = parseEfiVariableStore(after)
      const option = stored.variables.find(({ name }) => name === 'Boot0002')
      const data = Buffer.from(option?.data ?? [])
      data[8] = (data[8] ?? 0) ^ 1
      const changed = withEfiVariable(after, { name: 'Boot0002', vendorGuid: GLOBAL, attributes: 7, data })
      expect(moved({ ...inputs, variables: parseEfiVariableStore(changed) }, { ...inputs, variables: stored })).toEqual(
        ['variable Boot0002 (UDFI Misc Device)'],
      )
    })

    it('one byte of the SMBIOS table', () => {
      const table = Buffer.from(inputs.smbiosTable ?? [])
      const [system] = parseSmbiosTable(table)
      const at = (system?.offset ?? 0) + (system?.formatted.byteLength ?? 0)
      table[at] = (table[at] ?? 0) ^ 1
      expect(moved({ ...inputs, smbiosTable: table })).toEqual(['SMBIOS structure table'])
      const otherUuid = Buffer.from(inputs.smbiosTable ?? [])
      otherUuid[(system?.offset ?? 0) + 8] = 0x77
      expect(moved({ ...inputs, smbiosTable: otherUuid })).toEqual([])
    })

    it('the generation ID, the slot of the disk, the version, a volume', () => {
      const generationId = GENERATION_ID.replace('5555', '5556')
      expect(moved({ ...inputs, generationId })).toEqual(['ACPI blob etc/vmgenid_guid'])
      expect(moved({ ...inputs, bootDevice: { pciDevice: 2 } })).toEqual(['variable Boot0002 (UEFI Misc Device)'])
      expect(moved({ ...inputs, firmware: { ...plain, version: 'x' } })).toEqual(['firmware version x'])
      expect(moved({ ...inputs, firmware: { ...plain, dxefv: ascii('dXEFV') } })).toEqual(['firmware volume DXEFV'])
    })
  })

  describe('with Secure Boot', () => {
    const inPcr = (pcr: number, events: readonly PredictedEvent[]) =>
      events.filter((event) => event.pcr === pcr).map(({ what }) => what)

    it('measures the SMBIOS table behind the separators, and has no shell', () => {
      expect(inPcr(1, predictFirmware({ ...inputs, firmware: secureBoot })).slice(5)).toEqual([
        'variable BootOrder',
        'variable Boot0002 (UEFI Misc Device)',
        'variable Boot0000 (BootManagerMenuApp)',
        'variable Boot0001 (EFI Firmware Setup)',
        'separator of PCR 1',
        'SMBIOS structure table',
      ])
    })

    it('takes PEIFV from the calibration, not from the file', () => {
      const peifv = predictFirmware({ ...inputs, firmware: secureBoot })[1]
      expect(peifv).toMatchObject({ what: 'firmware volume PEIFV', isCalibrated: true })
      expect(sha256(peifv && predictedDigest(peifv, 'sha256'))).toMatch(/^10e48f005bc9f468/)
    })

    const key = { vendorGuid: GLOBAL, attributes: 0x27, data: Buffer.of(1, 2) }
    const withKey = withEfiVariable(emptyStore, { ...key, name: 'PK' })
    const off = { name: 'SecureBootEnable', vendorGuid: SECURE_BOOT_ENABLE, attributes: 3, data: Buffer.of(0) }
    it.for([
      ['no keys', emptyStore, 1, '00'],
      ['a platform key', withKey, 1, '01'],
      ['a platform key, switched off', withEfiVariable(withKey, off), 1, '00'],
    ] as const)('says whether it is on: %s', ([_, store, length, value]) => {
      const variables = parseEfiVariableStore(store)
      const events = predictFirmware({ ...inputs, firmware: secureBoot, variables })
      const data = Buffer.from(events.find(({ what }) => what === 'variable SecureBoot')?.data ?? [])
      expect(data.readBigUInt64LE(24)).toBe(BigInt(length))
      expect(data.subarray(-length).toString('hex')).toBe(value)
    })

    it("gives what virt-fw-measure gives for Microsoft's db and for Secure Boot that is on", () => {
      const data = readFileSync(join(FIXTURES, 'secure-boot/microsoft-db.bin'))
      const variables = parseEfiVariableStore(
        withEfiVariable(withKey, { name: 'db', vendorGuid: SECURITY, attributes: 0x27, data }),
      )
      const lines = predictFirmware({ ...inputs, firmware: secureBoot, variables }).map(predictedLine)
      expect(lines).toContain(
        '7 EV_EFI_VARIABLE_DRIVER_CONFIG ccfc4bb32888a345bc8aeadaba552b627d99348c767681ab3141f5b01e40a40e',
      )
      expect(lines).toContain(
        '7 EV_EFI_VARIABLE_DRIVER_CONFIG 7717c39e988f4607e8109ba6ee6882766862bea359a7d698a52b6563c012d3ec',
      )
    })

    it('measures dbt only if there is one', () => {
      const dbt = withEfiVariable(withKey, { ...key, vendorGuid: SECURITY, name: 'dbt' })
      const variables = parseEfiVariableStore(dbt)
      expect(inPcr(7, predictFirmware({ ...inputs, firmware: secureBoot, variables }))).toEqual([
        'variable SecureBoot',
        'variable PK',
        'variable KEK',
        'variable db',
        'variable dbx',
        'variable dbt',
        'separator of PCR 7',
      ])
    })
  })
})

describe('calibrationFrom()', () => {
  it('gives plain data that is the same for machines of the same shape', () => {
    const [minimal, cloud] = ['minimal', 'cloud'].map((image) => calibrationFrom(recordedLog(image)))
    expect(JSON.parse(JSON.stringify(minimal))).toEqual(minimal)
    expect(minimal?.acpi).toEqual(cloud?.acpi)
    expect(Object.keys(minimal?.acpi ?? {})).toEqual([
      'etc/table-loader',
      'etc/acpi/rsdp',
      'etc/tpm/log',
      'etc/vmgenid_guid',
      'etc/acpi/tables',
    ])
    // The SMBIOS identity is not a matter of shape.
    expect(minimal?.handoffTables).not.toEqual(cloud?.handoffTables)
    expect(minimal?.bootVariables.map(({ name }) => name)).toEqual([
      'BootOrder',
      'Boot0002',
      'Boot0000',
      'Boot0001',
      'Boot0003',
    ])
  })

  it('keeps drivers of option ROMs in their place, and takes none of a boot loader for one', () => {
    const driver = { pcr: 2, type: 0x80000004, data: ascii('rom') }
    const log = parseEventLog(agileLog([driver, separator(2), { ...driver, data: ascii('later') }]))
    const { optionRoms } = calibrationFrom(log)
    expect(optionRoms).toHaveLength(1)
    const calibration = { ...calibrationFrom(recordedLog('cloud')), optionRoms }
    const events = predictFirmware({ ...inputs, calibration })
    expect(events.map(({ what }) => what).indexOf('driver 1 out of an option ROM')).toBe(14)
    const replayed = replayEventLog(parseEventLog(agileLog([driver, separator(2)]))).values
    for (const bank of ['sha1', 'sha512'] as const) {
      expect(predictPcrs(events, [bank]).get(bank)?.get(2)).toEqual({
        kind: 'known',
        values: [replayed.get(bank)?.get(2)],
      })
    }
  })

  it('gives nothing from a log that has nothing', () => {
    expect(calibrationFrom(parseEventLog(agileLog([])))).toEqual({ acpi: {}, optionRoms: [], bootVariables: [] })
  })
})

it('the generation ID is where QEMU has it', () => {
  const event = predictFirmware(inputs).find(({ what }) => what === 'ACPI blob etc/vmgenid_guid')
  const bytes = event?.measured.kind === 'bytes' ? event.measured.bytes : new Uint8Array()
  expect(Buffer.from(bytes.subarray(40, 56)).equals(parseGuid(GENERATION_ID))).toBe(true)
})
