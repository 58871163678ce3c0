import { beforeAll, describe } from 'vitest'
import { StandIns } from '../../src/conformance/index.ts'
import { guestToolsProgram } from '../../src/guest/index.ts'
import { expect, test } from '../../src/testing/vitest.ts'
import { Cache } from '../../src/toolchain/index.ts'
import { DISK_MIB, diskOf, SYSUPDATE, versionsOf } from '../support/ab-machine.ts'
import { differences, logsOf, predictorFor } from '../support/measured.ts'
import { Releases, updateCredentials } from '../support/releases.ts'

/** Some boots of a machine that makes its own root file system: part of `./bootwright test --all`. */
describe.skipIf(process.env.BOOTWRIGHT_TEST_ALL !== '1')('the image ab', () => {
  let standIns: StandIns

  beforeAll(async () => {
    standIns = await StandIns.of(await guestToolsProgram(new Cache()))
  })

  test.for(['the original', 'ours in the place of the original'])(
    'goes from version to version with %s, measured as predicted',
    async (whose, { boot, openNetwork }) => {
      const isOurs = whose !== 'the original'
      const network = await openNetwork()
      await using releases = await Releases.open(network.private)
      await releases.publish('2')
      await using first = await boot('ab', {
        network,
        name: 'ab',
        diskMiB: DISK_MIB,
        credentials: await updateCredentials(),
        ...(isOurs ? { disks: [standIns.disk], memoryMiB: 2048 } : {}),
      })
      if (isOurs) await standIns.replace(first, ['systemd-sysupdate'])
      expect(await versionsOf(first)).toEqual({
        running: '1',
        slots: ['ab_1_verity', 'ab_1', '_empty', '_empty'],
        ukis: ['ab_1.efi'],
      })
      await first.run([SYSUPDATE, 'update'])
      expect(await versionsOf(first)).toEqual({
        running: '1',
        slots: ['ab_1_verity', 'ab_1', 'ab_2_verity', 'ab_2'],
        ukis: ['ab_1.efi', 'ab_2+3-0.efi'],
      })
      const predict = await predictorFor(first.spec)
      await using off = await first.powerOff()
      await using disk = await diskOf(off)
      const predicted = await predict({ ...off.spec, image: disk.image })

      await using second = await off.restart()
      await second.booted()
      expect(differences(predicted, await logsOf(second))).toEqual([])
      await second.unitActive('systemd-bless-boot.service')
      expect(await versionsOf(second)).toMatchObject({ running: '2', ukis: ['ab_1.efi', 'ab_2.efi'] })
      expect(await second.run(['/usr/lib/systemd/systemd-bless-boot', 'status'])).toPrint('good')

      if (isOurs) await standIns.replace(second, ['systemd-sysupdate'])
      await second.run([SYSUPDATE, 'vacuum', '--instances-max=1'])
      expect(await versionsOf(second)).toEqual({
        running: '2',
        slots: ['_empty', '_empty', 'ab_2_verity', 'ab_2'],
        ukis: ['ab_2.efi'],
      })
    },
  )
})
