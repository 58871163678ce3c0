import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { keepResult } from '../../bench/support/rounds.ts'
import type { WriteLog } from '../../src/formats/index.ts'
import { BOOTED, materialise, type RecordedWrites, type StoppedMachine } from '../../src/machine/index.ts'
import { cacheDirectory } from '../../src/toolchain/index.ts'
import { SYSUPDATE, versionsOf } from '../support/ab-machine.ts'
import { AbScene, versionTwo } from '../support/ab-scene.ts'
import { bootableVersion } from '../support/power-cut/boot-state.ts'
import { eachCrashState } from '../support/power-cut/crash-states.ts'
import { LeftSystem, type NextUpdateOptions, type Updater } from '../support/power-cut/next-update.ts'
import {
  activatedFirst,
  bootKey,
  newest,
  type Survey,
  sameDisk,
  survey,
  withoutFlushes,
} from '../support/power-cut/survey.ts'
import { builtImage, tools } from '../support/scene.ts'

/** For each flush, so many disks more that lack some of the writes which it was to settle. */
const SEEDS = [1, 2]

/** What is installed, beside which versions, and who does it. */
interface Case {
  readonly version: string
  readonly updater: Updater
  /** Oldest first, without it. */
  readonly before: readonly string[]
  readonly slots: readonly string[]
  readonly entries: readonly string[]
}

const SECOND = {
  version: '2',
  before: ['1'],
  slots: ['ab_1_verity', 'ab_1', 'ab_2_verity', 'ab_2'],
  entries: ['ab_1.efi', 'ab_2+3-0.efi'],
}
const CASES: readonly Case[] = [
  { ...SECOND, updater: 'ours' },
  { ...SECOND, updater: 'the original' },
  {
    version: '3',
    updater: 'ours',
    // The first has to go before there is room.
    before: ['1', '2'],
    slots: ['ab_3_verity', 'ab_3', 'ab_2_verity', 'ab_2'],
    entries: ['ab_2.efi', 'ab_3+3-0.efi'],
  },
]

/** Installs a version on a machine that runs the one before; resolves with every write of it, when the machine is off. */
async function recordUpdate(
  scene: AbScene,
  { version, updater }: Case,
): Promise<{ recording: RecordedWrites; off: StoppedMachine }> {
  await scene.releases.publish('2')
  const running = await scene.fork(version === '2' ? BOOTED : await versionTwo())
  if (version !== '2') await scene.releases.publish(version)
  if (updater === 'ours') await scene.useOurs(running)
  const recording = await running.faults.recordWrites()
  await running.run([SYSUPDATE, 'update'])
  await running.run(['sync'])
  expect((await running.runUnchecked(['sh', '-c', 'dmesg | grep "I/O error"'])).stdout.toString()).toBe('')
  await running.pause()
  await recording.end()
  return { recording, off: await running.cutPower() }
}

/** What the next update makes of each kind of disk; of those that it does not finish also what it does after a `vacuum`. */
async function updateEach(
  { recording, log, kinds }: { recording: RecordedWrites; log: WriteLog; kinds: Survey['updates'] },
  updater: Updater,
  options: NextUpdateOptions,
) {
  const asked = [...kinds.values()].flatMap(({ first, last }) => [first, last])
  const outcomes: { at: number; mode: string; lastError: string; problem: string; afterVacuum: string }[] = []
  let disks = 0
  const { toolchain, parent: directory } = options
  await eachCrashState(recording, log, { toolchain, directory, seeds: SEEDS }, async ({ at, mode, disk }) => {
    if (!asked.some((one) => sameDisk(one, { at, mode }))) return
    disks += 1
    await using left = await LeftSystem.of(disk, options)
    const { problem, lastError } = await left.run(updater, 'update')
    if (problem === undefined) return
    await left.run(updater, 'vacuum')
    const { problem: afterVacuum = 'finished' } = await left.run(updater, 'update')
    outcomes.push({ at, mode: mode.kind, lastError, problem, afterVacuum })
  })
  return { disks, finished: disks - outcomes.length, unfinished: outcomes }
}

/** Starts a machine with each kind of disk, and then updates it with ours. */
async function bootEach(
  scene: AbScene,
  { recording, off }: { recording: RecordedWrites; off: StoppedMachine },
  kinds: Survey['boots'],
  wanted: Case,
) {
  const boots: { disk: string; disks: number; booted: string | undefined; isUpdated: boolean }[] = []
  let stopped = off
  for (const {
    last: { at, mode },
    state,
    count,
  } of kinds.values()) {
    const path = join(stopped.directory, `cut-${at}.qcow2`)
    await materialise(recording, at, path, { toolchain: await tools(), mode })
    await stopped.faults.replaceDisk(path)
    await using machine = await stopped.restart()
    await machine.booted()
    const { running } = await versionsOf(machine)
    expect(running).toBe(newest(state))
    await scene.useOurs(machine)
    await machine.run([SYSUPDATE, 'update'])
    const { slots, ukis } = await versionsOf(machine)
    const hasUki = ukis.some((name) => name.startsWith(`ab_${wanted.version}`))
    const isUpdated = wanted.slots.every((slot, index) => slots[index] === slot) && hasUki
    boots.push({ disk: bootKey(state), disks: count, booted: running, isUpdated })
    stopped = await machine.cutPower()
  }
  return { boots, stopped }
}

describe.skipIf(process.env.BOOTWRIGHT_TEST_ALL !== '1')('a power cut, at every write of an update', () => {
  it.for(CASES)(
    'leaves a disk that boots the version before or version $version: $updater',
    { timeout: 3_600_000 },
    async (wanted) => {
      const { version, updater, before } = wanted
      const isOurs = updater === 'ours'
      await using scope = new AsyncDisposableStack()
      const scene = scope.use(await AbScene.open())
      const directory = await mkdtemp(join(cacheDirectory(), 'power-cut-'))
      scope.defer(() => rm(directory, { recursive: true, force: true }))
      const versions = await Promise.all(
        [...before, version].map(async (one) => bootableVersion(await builtImage('ab', one))),
      )
      const recorded = await recordUpdate(scene, wanted)
      let { off } = recorded
      scope.defer(() => off[Symbol.asyncDispose]())
      const { recording } = recorded
      const log = await recording.log()

      const look = (looked: WriteLog, seeds = SEEDS) => survey(recording, looked, { versions, directory, seeds })
      const found = await look(log)
      const server = scope.use(await scene.releases.serveHere())
      const options = { toolchain: await tools(), parent: directory, url: `${server.url}/`, versions }
      const updates = await updateEach({ recording, log, kinds: found.updates }, updater, options)
      const { flushes, disks, booting, problems } = found
      const result: Record<string, unknown> & { boots?: Awaited<ReturnType<typeof bootEach>>['boots'] } = {
        updater,
        version,
        flushes,
        disks,
        booting,
        problems,
        updates,
      }
      // What a disk boots is no matter of who wrote it.
      if (isOurs) {
        const { boots, stopped } = await bootEach(scene, { recording, off }, found.boots, wanted)
        off = stopped
        result.boots = boots
      }
      process.stdout.write(`${JSON.stringify(result, undefined, 2)}\n`)
      if (process.env.BOOTWRIGHT_KEEP_RESULTS === '1') {
        const name = `power-cut-${isOurs ? 'ours' : 'original'}`
        await keepResult(version === '2' ? name : `${name}-${version}`, result)
      }
      expect(problems).toEqual([])
      expect(found.final.entries.map(({ name }) => name)).toEqual(wanted.entries)
      // The oldest is no fallback to anybody who has the one before.
      expect(Object.keys(booting).sort()).toEqual([before.at(-1), version])
      if (isOurs) expect(updates.unfinished).toEqual([])
      expect(result.boots?.filter(({ isUpdated }) => !isUpdated) ?? []).toEqual([])

      // Whoever activates a version before its data is on the disk is found out: in another order, and without flushes.
      expect((await look(activatedFirst(log, found.final, version))).problems).not.toEqual([])
      expect((await look(withoutFlushes(log), [1, 2, 3, 4, 5, 6, 7, 8])).problems).not.toEqual([])
    },
  )
})
