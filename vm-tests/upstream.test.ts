import { beforeAll, describe } from 'vitest'
import { guestToolsProgram } from '../src/guest/index.ts'
import { expect, test } from '../src/testing/vitest.ts'
import { Cache } from '../src/toolchain/index.ts'
import { GuestProgram, passesUpstream } from './support/upstream.ts'

/** Under emulation each takes a minute or two: part of `./bootwright test --all`. */
describe.skipIf(process.env.BOOTWRIGHT_TEST_ALL !== '1')("systemd's own tests", () => {
  let program: GuestProgram

  beforeAll(async () => {
    program = await GuestProgram.of(await guestToolsProgram(new Cache()))
  })

  test('TEST-70-TPM2.measure passes with the original', async ({ boot }) => {
    await using machine = await boot('upstream', { tpm: { banks: ['sha1', 'sha256'] } })
    await passesUpstream(machine, 'TEST-70-TPM2.measure')
  })

  test('TEST-70-TPM2.measure passes with ours in the place of the original', async ({ boot }) => {
    await using machine = await boot('upstream', {
      tpm: { banks: ['sha1', 'sha256'] },
      disks: [program.disk],
      memoryMiB: 2048,
    })
    await program.standInFor(machine, '/usr/lib/systemd/systemd-measure')
    expect(await machine.run(['/usr/lib/systemd/systemd-measure', '--version'])).toPrint(/bootwright/)
    await passesUpstream(machine, 'TEST-70-TPM2.measure')
  })

  test('TEST-70-TPM2.measure fails when what it tests computes something else', async ({ boot }) => {
    await using machine = await boot('upstream', { tpm: { banks: ['sha1', 'sha256'] } })
    const original = '/usr/lib/systemd/systemd-measure'
    await machine.run(['cp', original, '/run/original'])
    await machine.writeFile('/run/wrong', '#!/bin/sh\n/run/original "$@" | tr 0 1\n')
    await machine.run(['chmod', '+x', '/run/wrong'])
    await machine.run(['mount', '--bind', '/run/wrong', original])
    await expect(passesUpstream(machine, 'TEST-70-TPM2.measure')).rejects.toThrow(/TEST-70-TPM2.measure failed/)
  })
})
