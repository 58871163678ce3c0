import { constants } from 'node:fs'
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parsePe } from '../src/formats/index.ts'
import { runHolds } from '../src/report/index.ts'
import { run } from '../src/system/index.ts'
import { cacheDirectory } from '../src/toolchain/index.ts'
import { builtImage, check, extraUnit, failures, tools, verified } from './support/scene.ts'

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
    const directory = await mkdtemp(join(cacheDirectory(), 'altered-'))
    try {
      const diskPath = join(directory, 'disk.raw')
      await copyFile(image.diskPath, diskPath, constants.COPYFILE_FICLONE)
      await alterUki(image.ukiPath, diskPath, directory)
      const report = await verified(image, { spec: { image: { ...image, diskPath } } })
      expect(failures(report)).toEqual(['pcr-11', 'pcrs', 'events'])
      expect(check(report, 'pcr-11')?.hint).toContain('another UKI')
      expect(check(report, 'events')?.found).toMatch(/^PCR 4 different: image EFI\/.*: its content differs; expected /)
      const causes = check(report, 'events')?.evidence.join('\n')
      expect(causes).toMatch(/^PCR 11 different: section \.osrel of EFI\//m)
    } finally {
      await rm(directory, { recursive: true, force: true })
    }
  })

  it('names the hostname and the credential when the metadata service answers wrongly', async () => {
    const report = await verified(await builtImage('cloud'), {
      cloud: 'aws',
      faults: [{ path: '/latest/meta-data/hostname', fault: { kind: 'wrong-value', value: 'impostor.example' } }],
    })
    expect(failures(report)).toEqual(['imds-hostname', 'imds-credentials'])
    expect(check(report, 'imds-hostname')?.found).toContain('impostor.example')
  })

  it('names the unit that failed, and the PCR that it extended without a word in a log', async () => {
    const report = await verified(await builtImage('minimal'), {
      spec: extraUnit('broken.service', [
        '[Service]',
        'Type=oneshot',
        `ExecStart=/bin/sh -c "echo ${extendPcr(14).toString('base64')} | base64 -d >/dev/tpmrm0; false"`,
      ]),
    })
    expect(failures(report)).toEqual(['system-state', 'failed-units', 'journal-errors', 'event-log', 'pcrs'])
    expect(check(report, 'failed-units')?.found).toBe('broken.service')
    expect(check(report, 'system-state')?.found).toBe('degraded')
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

/** Changes one byte of the description in the UKI's .osrel section, on the disk only. */
async function alterUki(ukiPath: string, diskPath: string, directory: string): Promise<void> {
  const toolchain = await tools()
  const uki = await readFile(ukiPath)
  const osrel = parsePe(uki).sections.find(({ name }) => name === '.osrel')
  if (osrel === undefined) throw new Error('the UKI has no .osrel section')
  const at = uki.indexOf('PRETTY_NAME="', osrel.rawOffset) + 'PRETTY_NAME="'.length
  uki[at] = (uki[at] ?? 0) ^ 0x20
  const altered = join(directory, 'altered.efi')
  await writeFile(altered, uki)
  // The ESP is the first partition, 1 MiB into the disk.
  const esp = `${diskPath}@@1048576`
  const { stdout } = await run(toolchain.command(['mdir', '-i', esp, '-/', '-b', '::']))
  const path = stdout
    .split('\n')
    .find((line) => /\.efi$/i.test(line) && /EFI\/(Linux|BOOT)\//i.test(line) && !/systemd/i.test(line))
  if (path === undefined) throw new Error(`no UKI on the ESP:\n${stdout}`)
  const target = await ukiOnEsp(stdout.split('\n'), esp, uki.length)
  await run(toolchain.command(['mcopy', '-o', '-i', esp, altered, target]))
}

/** The file on the ESP that is the UKI: it has the size of the one that was built. */
async function ukiOnEsp(paths: readonly string[], esp: string, size: number): Promise<string> {
  const toolchain = await tools()
  for (const path of paths.filter((line) => /\.efi$/i.test(line))) {
    const { stdout } = await run(toolchain.command(['mdir', '-i', esp, path.trim()]))
    if (stdout.replaceAll(' ', '').includes(String(size))) return path.trim()
  }
  throw new Error(`none of ${paths.join(', ')} has ${size} bytes`)
}
