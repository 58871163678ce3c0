import { describe, expect, it } from 'vitest'
import type { Artifact } from '../image/index.ts'
import { releaseParts } from './parts.ts'

const UUID = '0123456789abcdef0123456789abcdef'
const artifact = (file: string, role: Artifact['role'] = 'other'): Artifact => ({ file, role, size: 1, sha256: file })
const image = (version: string, ...artifacts: Artifact[]) => ({ name: 'os', version, artifacts })

describe('releaseParts()', () => {
  it('takes split partitions and then the UKI, and nothing else', () => {
    const parts = releaseParts(
      image(
        '1.2~rc3',
        artifact('os_1.2~rc3.efi', 'uki'),
        artifact('os_1.2~rc3.esp.raw'),
        artifact('os_1.2~rc3.raw', 'disk'),
        artifact(`os_1.2~rc3.usr-x86-64.${UUID}.raw`),
        artifact(`os_1.2.usr-x86-64.${UUID}.raw`),
        artifact('initrd.cpio.zst', 'initrd'),
      ),
      0xaa64,
    )
    expect(parts.map(({ name, kind, file }) => [name, kind, file])).toEqual([
      [`os_1.2~rc3_arm64.usr-x86-64.${UUID}.raw`, 'partition', `os_1.2~rc3.usr-x86-64.${UUID}.raw`],
      ['os_1.2~rc3_arm64.efi', 'uki', 'os_1.2~rc3.efi'],
    ])
  })

  it.for([
    ['an image without split partitions', '1', [artifact('os_1.efi', 'uki')], 0x8664, 'IMAGE_INCOMPLETE'],
    ['an image without a UKI', '1', [artifact(`os_1.usr.${UUID}.raw`)], 0x8664, 'IMAGE_INCOMPLETE'],
    ['a version with an underscore', '1_2', [], 0x8664, 'INVALID_ARGUMENT'],
    ['a version with a plus sign', '1+2', [], 0x8664, 'INVALID_ARGUMENT'],
    ['a machine nobody knows', '1', [], 0x1234, 'IMAGE_INCOMPLETE'],
  ] as const)('refuses %s', ([, version, artifacts, machine, code]) => {
    expect(() => releaseParts(image(version, ...artifacts), machine)).toThrow(expect.objectContaining({ code }))
  })
})
