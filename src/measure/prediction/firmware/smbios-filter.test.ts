import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parseSmbiosTable } from '../../../formats/index.ts'
import { BootwrightError } from '../../../system/index.ts'
import { digestsOf, measuredSmbiosTable, parseEventLog } from '../../index.ts'
import { garbage, resultOrMalformed } from '../../log-writer.test-support.ts'
import { EV_EFI_HANDOFF_TABLES } from './records.ts'

const FIXTURES = join(import.meta.dirname, 'fixtures')
const table = readFileSync(join(FIXTURES, 'cloud/smbios-table.bin'))

function structure(formattedHex: string, strings: string[] = []): Buffer {
  const set = strings.length === 0 ? '\0\0' : `${strings.join('\0')}\0\0`
  return Buffer.concat([Buffer.from(formattedHex.replaceAll(' ', ''), 'hex'), Buffer.from(set)])
}

/** The table with one byte of a structure changed. */
function flipped(type: number, offset: number): Buffer {
  const found = parseSmbiosTable(table).find((one) => one.type === type)
  if (found === undefined) throw new BootwrightError('BUG', `There is no structure of type ${type}`)
  const copy = Buffer.from(table)
  copy[found.offset + offset] = (copy[found.offset + offset] ?? 0) ^ 1
  return copy
}

function isMeasured(changed: Uint8Array): boolean {
  return !Buffer.from(measuredSmbiosTable(changed)).equals(measuredSmbiosTable(table))
}

describe('measuredSmbiosTable()', () => {
  it.for(['minimal', 'cloud'])('gives what the firmware measured in the recorded boot of %s', (image) => {
    const smbios = readFileSync(join(FIXTURES, image, 'smbios-table.bin'))
    const log = parseEventLog(readFileSync(join(FIXTURES, image, 'event-log.bin')))
    const record = log.events.find(({ untrustedType }) => untrustedType === EV_EFI_HANDOFF_TABLES)
    const digest = digestsOf(['sha256'], measuredSmbiosTable(smbios)).get('sha256')
    expect(Buffer.from(digest ?? []).toString('hex')).toBe(
      Buffer.from(record?.digests.get('sha256') ?? []).toString('hex'),
    )
  })

  it.for([
    ['the UUID', 1, 8],
    ['the wake-up type', 1, 24],
    ['the number of cores', 4, 0x23],
    ['an OEM string', 11, 10],
  ] as const)('leaves out %s', ([_, type, offset]) => {
    expect(isMeasured(flipped(type, offset))).toBe(false)
  })

  it.for([
    ['the manufacturer', 1, 27],
    ['the type of the chassis', 3, 5],
    ['the processor ID', 4, 8],
    ['the size of the memory', 17, 12],
    ['the handle of the OEM strings', 11, 2],
  ] as const)('measures %s', ([_, type, offset]) => {
    expect(isMeasured(flipped(type, offset))).toBe(true)
  })

  it('measures the length of the OEM strings', () => {
    const strings = parseSmbiosTable(table).find(({ type }) => type === 11)
    const at = (strings?.offset ?? 0) + 10
    expect(isMeasured(Buffer.concat([table.subarray(0, at), Buffer.from('x'), table.subarray(at)]))).toBe(true)
  })

  it('turns strings into spaces and keeps the length', () => {
    const type2 = structure('020f0002 01 02 00 03 00 01 02 0003 0a 00', ['Maker', 'Board', 'serial-7'])
    const expected = structure('020f0002 01 02 00 00 00 01 00 0003 0a 00', ['Maker', '     ', '        '])
    expect(Buffer.from(measuredSmbiosTable(type2)).toString('latin1')).toBe(expected.toString('latin1'))
  })

  it('leaves the strings of a structure alone that is too short for a field', () => {
    const short = structure('042300040000000000000000000000000000000000000000000000000000000000 00 00', ['CPU 0'])
    expect(Buffer.from(measuredSmbiosTable(short)).includes('CPU 0')).toBe(true)
  })

  it('keeps the header alone of what vendors define themselves', () => {
    const vendor = structure('80080100 01020304', ['secret'])
    expect(Buffer.from(measuredSmbiosTable(vendor)).toString('hex')).toBe(`80080100${'00'.repeat(4 + 8)}`)
  })

  it('gives a result or an error with an offset for whatever bytes', () => {
    for (let seed = 1; seed <= 500; seed++) {
      const measured = resultOrMalformed(() => measuredSmbiosTable(garbage(seed, seed)))
      expect(measured?.byteLength ?? 0).toBeLessThanOrEqual(seed)
    }
  })
})
