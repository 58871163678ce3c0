import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { hwdbFile } from '../../formats/index.ts'
import { hardwareProperties } from './hardware.ts'

let root: string
const write = (path: string, content: string | Uint8Array): void => {
  const file = join(root, path)
  mkdirSync(join(file, '..'), { recursive: true })
  writeFileSync(file, content)
}
const DMI = 'sys/devices/virtual/dmi/id'
const HWDB = hwdbFile([
  { pattern: 'dmi:bvnAcme:*', key: 'IMDS_VENDOR', value: 'acme' },
  { pattern: 'dmi:*:catTag 7:*', key: 'IMDS_VENDOR', value: 'tagged' },
])

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'imds-hardware-'))
})
afterEach(() => rmSync(root, { recursive: true }))

describe('hardwareProperties()', () => {
  it.for([
    ['dmi:bvnAcme:bvr1:\n', '', 'acme'],
    ['dmi:bvnOther:bvr1:\n', 'Tag 7\n', 'tagged'],
    ['dmi:bvnOther:bvr1:\n', 'Tag\x017\n', undefined],
    ['dmi:bvnOther:bvr1:\n', '', undefined],
  ] as const)('knows %j with the tag %j as %s', ([modalias, tag, vendor]) => {
    write(`${DMI}/modalias`, modalias)
    if (tag !== '') write(`${DMI}/chassis_asset_tag`, tag)
    write('usr/lib/udev/hwdb.bin', HWDB)
    expect(hardwareProperties(root).get('IMDS_VENDOR')).toBe(vendor)
  })

  it("prefers the administrator's database, and knows nothing without one", () => {
    write(`${DMI}/modalias`, 'dmi:bvnAcme:\n')
    expect(hardwareProperties(root)).toEqual(new Map())
    write('usr/lib/udev/hwdb.bin', HWDB)
    write('etc/udev/hwdb.bin', hwdbFile([{ pattern: 'dmi:*', key: 'IMDS_VENDOR', value: 'own' }]))
    expect(hardwareProperties(root).get('IMDS_VENDOR')).toBe('own')
  })

  it('knows nothing of a machine without SMBIOS, and refuses a database that is none', () => {
    write('usr/lib/udev/hwdb.bin', 'garbage')
    expect(hardwareProperties(root)).toEqual(new Map())
    write(`${DMI}/modalias`, 'dmi:bvnAcme:\n')
    expect(() => hardwareProperties(root)).toThrow(expect.objectContaining({ code: 'MALFORMED_INPUT' }))
  })
})
