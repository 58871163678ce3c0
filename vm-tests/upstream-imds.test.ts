import { beforeAll, describe } from 'vitest'
import { runUpstreamTest, StandIns } from '../src/conformance/index.ts'
import { guestToolsProgram } from '../src/guest/index.ts'
import { expect, test } from '../src/testing/vitest.ts'
import { Cache } from '../src/toolchain/index.ts'

const upstream = (machine: Parameters<typeof runUpstreamTest>[0]) =>
  runUpstreamTest(machine, 'TEST-74-AUX-UTILS.imds', { timeoutMs: 10 * 60_000 })

/** Under emulation each takes a minute or two: part of `./bootwright test --all`. */
describe.skipIf(process.env.BOOTWRIGHT_TEST_ALL !== '1')("systemd's own test of the metadata broker", () => {
  let standIns: StandIns

  beforeAll(async () => {
    standIns = await StandIns.of(await guestToolsProgram(new Cache()))
  })

  test('TEST-74-AUX-UTILS.imds passes with the originals', async ({ boot }) => {
    await using machine = await boot('upstream')
    expect(await upstream(machine)).toMatchObject({ status: 'passed', evidence: [] })
  })

  test('TEST-74-AUX-UTILS.imds passes with ours in the place of the originals', async ({ boot }) => {
    await using machine = await boot('upstream', { disks: [standIns.disk], memoryMiB: 2048 })
    const replaced = await standIns.replace(machine)
    expect(replaced).toEqual(
      expect.arrayContaining(['systemd-imds', 'systemd-imdsd'].map((name) => `/usr/lib/systemd/${name}`)),
    )
    expect(await upstream(machine)).toMatchObject({ status: 'passed', evidence: [] })
  })

  test('TEST-74-AUX-UTILS.imds fails with a broker that says something else', async ({ boot }) => {
    await using machine = await boot('upstream')
    const original = '/usr/lib/systemd/systemd-imdsd'
    await machine.run(['cp', original, '/run/original'])
    await machine.writeFile('/run/wrong', '#!/bin/sh\n/run/original "$@" | tr p q\n', 0o755)
    await machine.run(['mount', '--bind', '/run/wrong', original])
    expect(await upstream(machine)).toMatchObject({ status: 'failed' })
  })
})
