import { describe } from 'vitest'
import { expect, test } from '../../src/testing/vitest.ts'
import { DISK_MIB, diskOf, panicsUntilLogin, SYSUPDATE } from '../support/ab-machine.ts'
import { Releases, updateCredentials } from '../support/releases.ts'

/** Five boots: part of `./bootwright test --all`. */
describe.skipIf(process.env.BOOTWRIGHT_TEST_ALL !== '1')('a version that cannot boot burns its tries', () => {
  test('when kernel panics', async ({ boot, openNetwork }) => {
    const network = await openNetwork()
    await using releases = await Releases.open(network.private)
    await releases.publish('2', 'kernel panics')
    await using machine = await boot('ab', {
      network,
      name: 'ab',
      diskMiB: DISK_MIB,
      credentials: await updateCredentials(),
      allowedSymptoms: [{ match: 'Kernel panic - not syncing', because: 'version 2 is broken' }],
    })
    await machine.run([SYSUPDATE, 'update'])
    await using off = await machine.powerOff()
    await using failing = await off.restart()
    await expect(failing.booted()).rejects.toMatchObject({ code: 'GUEST_PANIC' })
    expect(await panicsUntilLogin(failing)).toBe(3)
    // The channel of a machine whose kernel has panicked is closed for good: what is left is its disk.
    await using after = await failing.cutPower()
    await using disk = await diskOf(after)
    expect(disk.state()).toEqual({
      gpt: 'both',
      slots: ['ab_1_verity', 'ab_1', 'ab_2_verity', 'ab_2'],
      ukis: ['ab_1.efi', 'ab_2+0-3.efi'],
    })
  })
})
