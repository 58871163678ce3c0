import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { StandIns } from '../../src/conformance/index.ts'
import { guestToolsProgram } from '../../src/guest/index.ts'
import {
  DEFAULT_SPEC,
  forkMachine,
  type MachineContext,
  type MachineSpec,
  machine,
  PrivateNetwork,
  type RunningMachine,
  type SnapshotPoint,
} from '../../src/machine/index.ts'
import type { PredictedEvent } from '../../src/measure/index.ts'
import { Cache, cacheDirectory } from '../../src/toolchain/index.ts'
import { DISK_MIB, diskOf, SYSUPDATE } from './ab-machine.ts'
import { predictorFor } from './measured.ts'
import { Releases, updateCredentials } from './releases.ts'
import { builtImage, hostAccelerator, plainFirmware, STATES, tools } from './scene.ts'

/**
 * Machines with the image `ab`, one at a time, beside a server of its releases, with the guest tools on a disk. They are no
 * fixtures: what they go on from is further than a boot, and kept in the cache.
 */
export class AbScene implements AsyncDisposable {
  readonly releases: Releases
  readonly standIns: StandIns
  readonly spec: MachineSpec
  readonly context: MachineContext
  readonly #scope: AsyncDisposableStack
  #machines = 0

  private constructor(parts: Pick<AbScene, 'releases' | 'standIns' | 'spec' | 'context'>, scope: AsyncDisposableStack) {
    this.releases = parts.releases
    this.standIns = parts.standIns
    this.spec = parts.spec
    this.context = parts.context
    this.#scope = scope
  }

  static async open(): Promise<AbScene> {
    await using scope = new AsyncDisposableStack()
    const toolchain = await tools()
    const standIns = await StandIns.of(await guestToolsProgram(new Cache()))
    const directory = await mkdtemp(join(cacheDirectory(), 'ab-scene-'))
    scope.defer(() => rm(directory, { recursive: true, force: true }))
    const network = scope.use(await PrivateNetwork.open(toolchain, { directory, addresses: [], names: {}, hosts: [] }))
    const releases = scope.use(await Releases.open(network))
    const spec: MachineSpec = {
      ...DEFAULT_SPEC,
      image: await builtImage('ab'),
      firmware: await plainFirmware(),
      accelerator: await hostAccelerator(),
      uuid: 'b0070000-1111-4222-8333-4444444444ab',
      diskMiB: DISK_MIB,
      memoryMiB: 2048,
      credentials: await updateCredentials(),
      disks: [standIns.disk],
    }
    const context = { toolchain, network, stateParent: STATES, name: '' }
    return new AbScene({ releases, standIns, spec, context }, scope.move())
  }

  /** A machine that goes on from there; the first one has to get there. */
  async fork(point: SnapshotPoint): Promise<RunningMachine> {
    return forkMachine(this.spec, this.#next(), { cache: new Cache(), point })
  }

  /** Ours in the place of the distribution's own, until the machine is off. */
  async useOurs(running: RunningMachine): Promise<void> {
    await this.standIns.replace(running, ['systemd-sysupdate'])
  }

  /**
   * The machine where it is now, without the memory of what its console has shown: a panic is the end of its channel. And what it
   * must have measured on the way there, by its disk.
   */
  async goOn(running: RunningMachine): Promise<{ back: RunningMachine; predicted: readonly PredictedEvent[] }> {
    const directory = await mkdtemp(join(cacheDirectory(), 'ab-now-'))
    try {
      const { spec } = running
      await running.pause()
      await running.snapshot(directory)
      // Both would have the same address.
      await running[Symbol.asyncDispose]()
      await using disk = await diskOf({ directory, spec })
      const predict = await predictorFor(spec)
      const predicted = await predict({ ...spec, image: disk.image })
      return { back: await machine(spec, this.#next()).resume(directory), predicted }
    } finally {
      await rm(directory, { recursive: true, force: true })
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#scope.disposeAsync()
  }

  #next(): MachineContext {
    this.#machines += 1
    return { ...this.context, name: `ab-${process.pid}-${this.#machines}` }
  }
}

/** Version 2 runs and is blessed, version 1 is beside it; it has to be released. */
export async function versionTwo(): Promise<SnapshotPoint> {
  const { identity } = await builtImage('ab', '2')
  return {
    name: `version 2 of ab, blessed: ${identity}`,
    async reach(running) {
      await running.booted()
      await running.run([SYSUPDATE, 'update'])
      await running.reboot()
      await running.booted()
      await running.unitActive('systemd-bless-boot.service')
    },
  }
}

/** Resolves when the firmware has started something `count` times from now on; a machine that does so restarts by itself. */
export function startsOf({ console }: Pick<RunningMachine, 'console'>): {
  readonly count: () => number
  reach(count: number): Promise<void>
} {
  let seen = 0
  const waiting: { count: number; resolve: () => void }[] = []
  console.onLine((line) => {
    if (!/BdsDxe: starting /.test(line)) return
    seen += 1
    for (const { count, resolve } of waiting) if (count === seen) resolve()
  })
  return {
    count: () => seen,
    reach: (count) => new Promise((resolve) => waiting.push({ count, resolve })),
  }
}
