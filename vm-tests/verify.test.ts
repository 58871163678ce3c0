import { describe, expect, it } from 'vitest'
import { runHolds } from '../src/report/index.ts'
import { AlteredDisk } from './support/altered-disk.ts'
import { builtImage, check, extraUnit, failures, verified } from './support/scene.ts'

describe('verify', () => {
  it('holds on the cloud image in its cloud', async () => {
    const report = await verified(await builtImage('cloud'), { cloud: 'aws' })
    expect(report.checks.filter(({ status }) => status !== 'passed')).toEqual([])
    expect(report.checks.map(({ id }) => id)).toEqual([
      'boot',
      'system-state',
      'failed-units',
      'journal-errors',
      'tpm-present',
      'host-witness',
      'event-log',
      'pcr-11',
      'pcrs',
      'events',
      'cloud-recognised',
      'imds-hostname',
      'imds-credentials',
    ])
    expect(runHolds(report)).toBe(true)
  })

  it('holds on the minimal image, and says what that has not got', async () => {
    const report = await verified(await builtImage('minimal'))
    expect(failures(report)).toEqual([])
    expect(report.checks.filter(({ status }) => status === 'unsupported').map(({ id }) => id)).toEqual([
      'cloud-recognised',
      'imds-hostname',
      'imds-credentials',
    ])
    expect(runHolds(report)).toBe(true)
  })

  it('names PCR 11 when the UKI was altered after the prediction', async () => {
    const image = await builtImage('minimal')
    await using disk = await AlteredDisk.copyOf(image)
    disk.flip(disk.place('EFI/BOOT/BOOTX64.EFI', '.osrel'))
    const report = await verified(image, { spec: { image: { ...image, diskPath: disk.path } } })
    expect(failures(report)).toEqual(['pcr-11', 'pcrs', 'events'])
    expect(check(report, 'pcr-11')?.hint).toContain('another UKI')
    expect(check(report, 'events')?.found).toMatch(/^PCR 4 different: image EFI\/.*: its content differs; expected /)
    const causes = check(report, 'events')?.evidence.join('\n')
    expect(causes).toMatch(/^PCR 11 different: section \.osrel of EFI\//m)
  })

  it('names the hostname and the credential when the metadata service answers wrongly', async () => {
    const report = await verified(await builtImage('cloud'), {
      cloud: 'aws',
      faults: [{ path: '/latest/meta-data/hostname', fault: { kind: 'wrong-value', value: 'impostor.example' } }],
    })
    expect(failures(report)).toEqual(['imds-hostname', 'imds-credentials'])
    expect(check(report, 'imds-hostname')?.found).toContain('impostor.example')
  })

  it('names the unit that failed, the PCR that it extended without a word in a log, and the one it lies about', async () => {
    const report = await verified(await builtImage('minimal'), {
      spec: extraUnit('broken.service', [
        '[Service]',
        'Type=oneshot',
        `ExecStart=/bin/sh -c "echo ${'AB'.repeat(32)} >/run/lie; mount --bind /run/lie /sys/class/tpm/tpm0/pcr-sha256/23"`,
        `ExecStart=/bin/sh -c "echo ${extendPcr(14).toString('base64')} | base64 -d >/dev/tpmrm0; false"`,
      ]),
    })
    const units = ['system-state', 'failed-units', 'journal-errors']
    expect(failures(report)).toEqual([...units, 'host-witness', 'event-log', 'pcrs'])
    expect(check(report, 'failed-units')?.found).toBe('broken.service')
    expect(check(report, 'system-state')?.found).toBe('degraded')
    expect(check(report, 'host-witness')).toMatchObject({
      expected: `PCR 23 (sha256) ${'00'.repeat(32)}`,
      found: 'ab'.repeat(32),
    })
    expect(check(report, 'event-log')?.evidence[0]).toMatch(/^PCR 14 \(sha256\): replayed .*\(unknown\)$/)
    expect(runHolds(report)).toBe(false)
  })

  it('names the TPM that the kernel does not find, and the cloud that nobody can recognise', async () => {
    const report = await verified(await builtImage('cloud'), {
      cloud: 'aws',
      spec: {
        smbios: {},
        kernelCommandLineExtra: ['initcall_blacklist=crb_acpi_driver_init', 'systemd.tpm2_wait=0'],
      },
    })
    expect(failures(report)).toEqual(
      expect.arrayContaining(['tpm-present', 'cloud-recognised', 'imds-hostname', 'imds-credentials']),
    )
    expect(check(report, 'tpm-present')?.found).toBe('none')
    expect(runHolds(report)).toBe(false)
  })

  it('names the boot when the guest hangs, and what it waits for', async () => {
    const report = await verified(await builtImage('minimal'), {
      idleMs: 25_000,
      spec: extraUnit('hanging.service', [
        '[Unit]',
        'Before=multi-user.target',
        '[Service]',
        'Type=oneshot',
        'TimeoutStartSec=infinity',
        'ExecStart=/bin/sleep infinity',
      ]),
    })
    expect(failures(report)).toEqual(['boot'])
    expect(check(report, 'boot')?.code).toBe('BOOT_STALLED')
    expect(check(report, 'boot')?.evidence.join('\n')).toContain('hanging.service')
    expect(report.notRun.map(({ id }) => id)).toContain('pcr-11')
    expect(runHolds(report)).toBe(false)
  })
})

/** TPM2_PCR_Extend of the SHA-256 bank with an empty password (TPM 2.0 Library, Part 3, 22.2). */
function extendPcr(pcr: number): Buffer {
  const command = Buffer.alloc(65)
  command.writeUInt16BE(0x8002, 0) // TPM_ST_SESSIONS
  command.writeUInt32BE(command.length, 2)
  command.writeUInt32BE(0x182, 6) // TPM_CC_PCR_Extend
  command.writeUInt32BE(pcr, 10)
  command.writeUInt32BE(9, 14) // size of the authorization
  command.writeUInt32BE(0x40000009, 18) // TPM_RS_PW, no nonce, no attributes, no password
  command.writeUInt32BE(1, 27) // one digest
  command.writeUInt16BE(0x000b, 31) // TPM_ALG_SHA256
  command.fill(0x62, 33)
  return command
}
