import { constants } from 'node:fs'
import { copyFile, mkdtemp, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { firmwareNamed } from '../src/machine/index.ts'
import { cacheDirectory } from '../src/toolchain/index.ts'
import { builtImage, CHECKOUT, check, failures, tools, verified } from './support/scene.ts'

/** PCR 0 to 23, but for the initrd with its boot secret and what IMA measures. */
const KNOWN_PCRS = 22

describe('the prediction', () => {
  it('holds in all banks, with credentials, another command line, and another shape of machine', async () => {
    const report = await verified(await builtImage('minimal'), {
      spec: {
        tpm: { banks: ['sha1', 'sha256', 'sha384', 'sha512'] },
        memoryMiB: 1536,
        cores: 1,
        credentials: { 'some.credential': 'with a value' },
        kernelCommandLineExtra: ['systemd.log_level=notice', 'quiet'],
        disks: [{ name: 'data', sizeMiB: 16 }],
        furtherMacAddresses: ['52:54:00:b0:07:44'],
        generationId: '12345678-2222-4333-8444-555555555555',
      },
    })
    expect(failures(report)).toEqual([])
    expect(check(report, 'pcrs')?.evidence[0]).toBe(`${4 * KNOWN_PCRS} values are as predicted; PCR 9, 10 cannot be`)
  })

  it.skipIf(process.env.BOOTWRIGHT_TEST_ALL !== '1')('holds with the firmware for Secure Boot', async () => {
    const firmware = await firmwareNamed(join(CHECKOUT, 'ovmf'), 'setup-mode', await tools())
    const report = await verified(await builtImage('minimal'), { firmware, accelerator: 'tcg' })
    expect(failures(report)).toEqual([])
    expect(check(report, 'pcrs')?.evidence[0]).toBe(`${KNOWN_PCRS} values are as predicted; PCR 9, 10 cannot be`)
  })

  it.skipIf(process.env.BOOTWRIGHT_TEST_ALL !== '1')('names PCR 5 when the partition table was altered', async () => {
    const image = await builtImage('minimal')
    const directory = await mkdtemp(join(cacheDirectory(), 'altered-'))
    try {
      const diskPath = join(directory, 'disk.raw')
      await copyFile(image.diskPath, diskPath, constants.COPYFILE_FICLONE)
      await alterDiskGuid(diskPath)
      const report = await verified(image, { spec: { image: { ...image, diskPath } } })
      expect(failures(report)).toEqual(['pcrs', 'events'])
      expect(check(report, 'pcrs')?.expected).toMatch(/^PCR 5 /)
      expect(check(report, 'pcrs')?.evidence[0]).toContain('partition table')
      expect(check(report, 'events')?.found).toMatch(/^PCR 5 different: partition table .*: disk GUID expected/)
    } finally {
      await rm(directory, { recursive: true, force: true })
    }
  })
})

/** Another disk GUID in the primary header, with its checksum. */
async function alterDiskGuid(diskPath: string): Promise<void> {
  await using disk = await open(diskPath, 'r+')
  const header = Buffer.alloc(92)
  await disk.read(header, 0, header.length, 512)
  header[56] = (header[56] ?? 0) ^ 1
  header.writeUInt32LE(0, 16)
  header.writeUInt32LE(crc32(header), 16)
  await disk.write(header, 0, header.length, 512)
}
