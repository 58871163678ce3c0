import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { BOOTED, type RunningMachine } from '../../src/machine/index.ts'
import { SYSUPDATE, versionsOf } from '../support/ab-machine.ts'
import { AbScene, startsOf, versionTwo } from '../support/ab-scene.ts'
import { differences, logsOf } from '../support/measured.ts'
import type { Breakage } from '../support/releases.ts'

const WITH_VERSION_3 = { running: '2', slots: ['ab_3_verity', 'ab_3', 'ab_2_verity', 'ab_2'] }
const TRIES = 3

/** Who installs it makes no difference to what follows; each is asked about it afterwards. */
const CASES: readonly (readonly [Breakage, 'the original' | 'ours'])[] = [
  ['kernel panics', 'the original'],
  ['init fails', 'ours'],
  ['a block of /usr is corrupt', 'the original'],
  ['a unit fails', 'ours'],
]

/** What an updater has to say when everything is over. */
async function verdict(machine: RunningMachine) {
  const status = async (...argv: string[]) => (await machine.runUnchecked([SYSUPDATE, ...argv])).exitCode
  const { stdout } = await machine.run([SYSUPDATE, '--no-legend', 'list'])
  return {
    list: stdout
      .trim()
      .split('\n')
      .map((line) => line.replaceAll(/[^a-z0-9+]+/g, ' ').trim()),
    checkNew: await status('check-new'),
    pending: await status('pending'),
    update: await status('update'),
  }
}

/** Four boots each: part of `./bootwright test --all`. */
describe.skipIf(process.env.BOOTWRIGHT_TEST_ALL !== '1')('a version 3 that does not boot, beside version 2', () => {
  it.for(CASES)(
    'burns its tries, makes way for version 2 and is left alone: %s, installed by %s',
    { timeout: 1_800_000 },
    async ([breakage, updater]) => {
      await using scene = await AbScene.open()
      await scene.releases.publish('2')
      await using two = await scene.fork(await versionTwo())
      await scene.releases.publish('3', breakage)
      if (updater === 'ours') await scene.useOurs(two)
      await two.run([SYSUPDATE, 'update'])
      expect(await versionsOf(two)).toEqual({ ...WITH_VERSION_3, ukis: ['ab_2.efi', 'ab_3+3-0.efi'] })

      const starts = startsOf(two)
      two.run(['systemctl', 'reboot']).catch(() => undefined)
      await starts.reach(TRIES + 1)
      while (!/login: *$/.test(two.console.partialLine)) await sleep(500)
      expect(two.failure?.code).toBe(breakage === 'a unit fails' ? undefined : 'GUEST_PANIC')

      const went = await scene.goOn(two)
      await using back = went.back
      expect(await back.booted()).toBe('running')
      expect(starts.count()).toBe(TRIES + 1)
      expect(differences(went.predicted, await logsOf(back))).toEqual([])
      const after = { ...WITH_VERSION_3, ukis: ['ab_2.efi', 'ab_3+0-3.efi'] }
      expect(await versionsOf(back)).toEqual(after)

      // The original goes on about it, and would restart the machine each night for it, but does not get it again.
      expect(await verdict(back)).toEqual({ list: ['3 current', '2 protected'], checkNew: 1, pending: 0, update: 0 })
      expect(await versionsOf(back)).toEqual(after)
      await scene.useOurs(back)
      const ours = await verdict(back)
      expect(ours).toEqual({ list: ['3 current+failed', '2 protected'], checkNew: 1, pending: 1, update: 0 })
      expect(await versionsOf(back)).toEqual(after)
      // Deleted for want of room or by hand, it is remembered.
      await back.run([SYSUPDATE, 'vacuum', '--instances-max=1'])
      const without = { running: '2', slots: ['_empty', '_empty', 'ab_2_verity', 'ab_2'], ukis: ['ab_2.efi'] }
      expect(await versionsOf(back)).toEqual(without)
      expect(await verdict(back)).toMatchObject({ checkNew: 1, pending: 1, update: 0 })
      expect(await versionsOf(back)).toEqual(without)
    },
  )
})

describe.skipIf(process.env.BOOTWRIGHT_TEST_ALL !== '1')('process 1', () => {
  it('crashes, and the machine restarts by itself', { timeout: 900_000 }, async () => {
    await using scene = await AbScene.open()
    await using one = await scene.fork(BOOTED)
    const starts = startsOf(one)
    // Of the shell itself: the image has no kill(1).
    one.run(['bash', '-c', 'kill -SEGV 1']).catch(() => undefined)
    await starts.reach(1)
    while (!/login: *$/.test(one.console.partialLine)) await sleep(500)
    const { back, predicted } = await scene.goOn(one)
    await using _ = back
    expect(await back.booted()).toBe('running')
    expect(starts.count()).toBe(1)
    expect(differences(predicted, await logsOf(back))).toEqual([])
  })
})
