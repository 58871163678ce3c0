import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { firmwareNamed } from '../src/machine/index.ts'
import { Cache } from '../src/toolchain/index.ts'
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
    const firmware = await firmwareNamed(join(CHECKOUT, 'ovmf'), 'setup-mode', await tools(), new Cache())
    const report = await verified(await builtImage('minimal'), { firmware, accelerator: 'tcg' })
    expect(failures(report)).toEqual([])
    expect(check(report, 'pcrs')?.evidence[0]).toBe(`${KNOWN_PCRS} values are as predicted; PCR 9, 10 cannot be`)
  })
})
