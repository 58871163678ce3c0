import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parseSmbiosTable, smbiosIdentity } from '../../../formats/index.ts'
import { machineSmbiosTable, type SmbiosFacts, tcgProcessorId } from '../../index.ts'

const recorded = (image: string): Buffer =>
  readFileSync(join(import.meta.dirname, 'fixtures', image, 'smbios-table.bin'))

/** The machine of `minimal`, and the strings that both machines were given. */
const minimal: SmbiosFacts = {
  identity: {},
  uuid: 'b0070000-1111-4222-8333-444444444444',
  oemStrings: smbiosIdentity(parseSmbiosTable(recorded('minimal'))).oemStrings,
  memoryMiB: 1024,
  cores: 2,
  processorId: tcgProcessorId(2),
  machineType: 'pc-q35-11.1',
  bios: { vendor: 'Debian distribution of EDK II', version: '2026.08+ds-2', releaseDate: '09/26/2026' },
}
const uuid = 'ec2b0913-b73c-4a4f-8d33-4c47d89f428e'
const cloud: SmbiosFacts = {
  ...minimal,
  uuid,
  oemStrings: smbiosIdentity(parseSmbiosTable(recorded('cloud'))).oemStrings,
  // As on the command line of the recorded machine.
  identity: {
    bios: { vendor: 'Amazon EC2', version: '1.0', releaseDate: '10/16/2017' },
    system: { manufacturer: 'Amazon EC2', productName: 'm5.large', serialNumber: uuid },
    baseboard: { manufacturer: 'Amazon EC2', assetTag: 'i-0b007b007b007b007' },
    chassis: { manufacturer: 'Amazon EC2', assetTag: 'Amazon EC2' },
  },
}

const inLines = (table: Uint8Array | undefined): string[] =>
  parseSmbiosTable(table ?? Buffer.of()).map(({ bytes }) => Buffer.from(bytes).toString('latin1'))

describe('machineSmbiosTable()', () => {
  it('gives the table of the recorded boot of minimal, byte for byte', () => {
    expect(inLines(machineSmbiosTable(minimal))).toEqual(inLines(recorded('minimal')))
    expect(recorded('minimal').equals(machineSmbiosTable(minimal) ?? Buffer.of())).toBe(true)
  })

  it('gives the table of the recorded boot of cloud, byte for byte', () => {
    expect(inLines(machineSmbiosTable(cloud))).toEqual(inLines(recorded('cloud')))
    expect(recorded('cloud').equals(machineSmbiosTable(cloud) ?? Buffer.of())).toBe(true)
  })

  it('has the structures of the reference for 2048 MiB, without OEM strings', () => {
    const table = machineSmbiosTable({ ...minimal, memoryMiB: 2048, oemStrings: [] })
    const structures = parseSmbiosTable(table ?? Buffer.of())
    expect(structures.map(({ type }) => type)).toEqual([1, 3, 4, 16, 17, 19, 32, 0, 127])
    const formatted = (type: number) => Buffer.from(structures.find((one) => one.type === type)?.formatted ?? [])
    expect(formatted(16).readUInt32LE(7)).toBe(0x200000)
    expect(formatted(17).readUInt16LE(12)).toBe(0x0800)
    expect(formatted(19).readUInt32LE(8)).toBe(0x1fffff)
  })

  it('says nothing about a machine that it knows too little of', () => {
    expect(machineSmbiosTable({ ...minimal, memoryMiB: 2816 })).toBeUndefined()
    expect(machineSmbiosTable({ ...minimal, bios: undefined })).toBeUndefined()
    expect(machineSmbiosTable({ ...minimal, cores: 255 })).toBeUndefined()
    expect(machineSmbiosTable({ ...minimal, processorId: new Uint8Array(4) })).toBeUndefined()
    expect(machineSmbiosTable({ ...cloud, bios: undefined })).toBeDefined()
  })

  it('knows one core from several', () => {
    expect(Buffer.from(tcgProcessorId(1)).toString('hex')).toBe('63060000fdfbcb0f')
    expect(Buffer.from(tcgProcessorId(4)).toString('hex')).toBe('63060000fdfbcb1f')
  })
})
