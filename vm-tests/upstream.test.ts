import { beforeAll, describe } from 'vitest'
import { runUpstreamTest, StandIns } from '../src/conformance/index.ts'
import { guestToolsProgram } from '../src/guest/index.ts'
import { expect, test } from '../src/testing/vitest.ts'
import { Cache } from '../src/toolchain/index.ts'

const upstream = (machine: Parameters<typeof runUpstreamTest>[0]) =>
  runUpstreamTest(machine, 'TEST-70-TPM2.measure', { timeoutMs: 10 * 60_000 })

/** Under emulation each takes a minute or two: part of `./bootwright test --all`. */
describe.skipIf(process.env.BOOTWRIGHT_TEST_ALL !== '1')("systemd's own tests", () => {
  let standIns: StandIns

  beforeAll(async () => {
    standIns = await StandIns.of(await guestToolsProgram(new Cache()))
  })

  test('TEST-70-TPM2.measure passes with the original', async ({ boot }) => {
    await using machine = await boot('upstream', { tpm: { banks: ['sha1', 'sha256'] } })
    expect(await upstream(machine)).toMatchObject({ status: 'passed', evidence: [] })
  })

  test('TEST-70-TPM2.measure passes with ours in the place of the original', async ({ boot }) => {
    await using machine = await boot('upstream', {
      tpm: { banks: ['sha1', 'sha256'] },
      disks: [standIns.disk],
      memoryMiB: 2048,
    })
    await standIns.replace(machine, ['systemd-measure'])
    expect(await machine.run(['/usr/lib/systemd/systemd-measure', '--version'])).toPrint(/bootwright/)
    expect(await upstream(machine)).toMatchObject({ status: 'passed', evidence: [] })
  })

  // Sixteen rounds of updates would take an hour under emulation: two, with both sizes of sectors. `bootwright conformance` runs all.
  test.for([
    ['the original', 'sysupdate-cli', 'monolithic'],
    ['ours in the place of the original', 'varlink', 'split-offline'],
  ] as const)(
    'TEST-72-SYSUPDATE passes with %s',
    { timeout: 45 * 60_000 },
    async ([whose, client, updateType], { boot }) => {
      await using machine = await boot('upstream', { disks: [standIns.disk], memoryMiB: 2048 })
      const isOurs = whose !== 'the original'
      if (isOurs) await standIns.replace(machine, ['systemd-sysupdate'])
      const version = await machine.run(['/usr/lib/systemd/systemd-sysupdate', '--version'])
      expect(version.stdout.includes('bootwright')).toBe(isOurs)
      const units = '/run/units'
      const edits = `s/^for client in .*/for client in ${client}; do/; s/^for update_type in .*/for update_type in ${updateType}; do/`
      const script = `cp -r /usr/lib/systemd/tests/testdata/units ${units}; sed -i '${edits}' ${units}/TEST-72-SYSUPDATE.sh`
      await machine.run(['sh', '-ec', script])
      const judged = await runUpstreamTest(machine, 'TEST-72-SYSUPDATE', {
        directory: units,
        timeoutMs: 40 * 60_000,
        ...(isOurs ? { environment: standIns.environment } : {}),
      })
      expect(judged, judged.log.slice(-5000)).toMatchObject({ status: 'passed', evidence: [] })
    },
  )

  test('systemd-measure reads the TPM as the original does', async ({ boot }) => {
    await using machine = await boot('upstream', {
      tpm: { banks: ['sha1', 'sha256', 'sha512'] },
      disks: [standIns.disk],
      memoryMiB: 2048,
    })
    const [original, ours] = ['/run/original', '/usr/lib/systemd/systemd-measure']
    await machine.run(['cp', ours, original])
    await standIns.replace(machine, ['systemd-measure'])
    const both = async (line: string, env = '') => {
      const said = []
      for (const tool of [original, ours]) said.push(await machine.runUnchecked(['sh', '-c', `${env} ${tool} ${line}`]))
      return said.map(({ exitCode, stdout, stderr }) => {
        return { exitCode, stdout: stdout.toString(), stderr: stderr.toString().replaceAll(original, ours) }
      })
    }
    for (const line of [
      'status',
      'status --json=short',
      'status --json=pretty --bank=sha256',
      '--bank=sha384',
      'status --bank=sha384 --bank=sha1',
      'status --bank=sm3',
      'calculate --current',
      'calculate --current --bank=sha256 --phase=a:b --json=pretty',
      'calculate --current --bank=sha384',
      'calculate --current --bank=sm3',
      'policy-digest --current --bank=sha256 --bank=sha512',
      'policy-digest --current --bank=sha384',
    ]) {
      const [theirs, own] = await both(line)
      expect({ line, ...own }).toEqual({ line, ...theirs })
    }
    const [theirs, own] = await both('status', 'SYSTEMD_COLORS=256')
    expect(own).toEqual(theirs)
    expect(theirs?.stderr).toContain('\x1b[0;38:5:245m# PCR[11] kernel-boot\x1b[0m')
  })

  test('TEST-70-TPM2.measure fails when what it tests computes something else', async ({ boot }) => {
    await using machine = await boot('upstream', { tpm: { banks: ['sha1', 'sha256'] } })
    const original = '/usr/lib/systemd/systemd-measure'
    await machine.run(['cp', original, '/run/original'])
    await machine.writeFile('/run/wrong', '#!/bin/sh\n/run/original "$@" | tr 0 1\n')
    await machine.run(['chmod', '+x', '/run/wrong'])
    await machine.run(['mount', '--bind', '/run/wrong', original])
    expect(await upstream(machine)).toMatchObject({ status: 'failed' })
  })
})
