import { writePoints } from '../../formats/index.ts'
import { BootwrightError } from '../../system/index.ts'
import type { Toolchain } from '../../toolchain/index.ts'
import type { StoppedMachine } from '../machine.ts'
import type { RunningMachine } from '../running-machine.ts'
import type { MachineSpec } from '../spec.ts'
import { blkdebugRules, type DiskFault } from './disk-fault.ts'
import { checkDnsFailure, type DnsFailure } from './dns-answer.ts'
import type { DnsFaultOptions } from './dns-stage.ts'
import { type FaultRecord, recordedFaults, recordFault } from './fault-record.ts'
import { type Impairment, impair } from './impairment.ts'
import type { ActiveFault } from './machine-faults.ts'
import { clearTpm, lockTpm, replaceTpm } from './stopped-tpm.ts'
import type { RecordedWrites } from './write-recording.ts'
import { eachWritePoint, type ReplayOptions, replaceDisk } from './write-replay.ts'

/** A machine whose power went at a point of a recording. */
export interface PowerCut {
  /** How many entries of the recording had reached the disk. */
  readonly at: number
  /** With variables and TPM of the machine that it is a copy of. It is gone when the next one comes. */
  readonly machine: StoppedMachine
}

/** What the faults of a stopped machine reach besides its public face. */
export interface StoppedFaultHooks {
  readonly toolchain: Toolchain
  /** A copy of the machine, with another disk under its own. */
  withDisk(path: string): Promise<StoppedMachine>
}

/**
 * What can be made to go wrong with a machine before it is switched on again, one call each. Each is noted in the machine's
 * directory when it takes effect.
 *
 * Faults of disk and network are there from the first instruction of the next power-on, and end with it, or with `end()`.
 */
export class StoppedFaults {
  readonly #machine: StoppedMachine
  readonly #hooks: StoppedFaultHooks
  readonly #pending = new Set<(running: RunningMachine) => Promise<void>>()
  #changes: Partial<MachineSpec> = {}

  constructor(machine: StoppedMachine, hooks: StoppedFaultHooks) {
    this.#machine = machine
    this.#hooks = hooks
  }

  /** What was done to this machine up to now, over all its power-ons. */
  records(): Promise<FaultRecord[]> {
    return recordedFaults(this.#machine)
  }

  /** The disk fails from the start: read errors, torn sectors, … Rejects with `INVALID_ARGUMENT`. */
  async disk(fault: DiskFault): Promise<ActiveFault> {
    blkdebugRules(fault)
    return this.#fromStart(({ faults }) => faults.disk(fault))
  }

  /** No cable is plugged in. */
  async linkDown(): Promise<ActiveFault> {
    return this.#fromStart(({ faults }) => faults.linkDown())
  }

  /** The line to the network is a bad one. Rejects with `INVALID_ARGUMENT`. */
  async line(impairment: Impairment): Promise<ActiveFault> {
    impair(impairment)
    return this.#fromStart(({ faults }) => faults.line(impairment))
  }

  /** The name server fails. Rejects with `INVALID_ARGUMENT`. */
  async dns(failure: DnsFailure, options: DnsFaultOptions = {}): Promise<ActiveFault> {
    checkDnsFailure(failure)
    return this.#fromStart(({ faults }) => faults.dns(failure, options))
  }

  /** Its real-time clock is so far ahead of the host's from now on, or behind it when negative. */
  async clock(offsetSeconds: number): Promise<void> {
    if (!Number.isSafeInteger(offsetSeconds)) {
      throw new BootwrightError('INVALID_ARGUMENT', `Expected whole seconds for a clock offset, found ${offsetSeconds}`)
    }
    // The start records it.
    this.#change({ clockOffsetSeconds: offsetSeconds })
  }

  /** It starts without its TPM, which keeps its state; ending the fault puts it in again for the next start. */
  async removeTpm(): Promise<ActiveFault> {
    const { tpm } = this.#machine.spec
    if (tpm === 'absent') throw new BootwrightError('INVALID_ARGUMENT', `Machine "${this.#machine.name}" has no TPM`)
    await recordFault(this.#machine.directory, 'TPM removed')
    this.#change({ tpm: 'absent' })
    return onceEnded(async () => {
      await recordFault(this.#machine.directory, 'TPM put in')
      this.#change({ tpm })
    })
  }

  /** TPM2_Clear, as from the firmware's setup: what was sealed to this TPM is lost. */
  clearTpm(): Promise<void> {
    return clearTpm(this.#machine, this.#hooks.toolchain)
  }

  /** Another TPM in its place: a new mainboard. Nothing of the old one is left. */
  replaceTpm(): Promise<void> {
    return replaceTpm(this.#machine, this.#hooks.toolchain)
  }

  /** Dictionary attack lockout: as if somebody had tried too many passwords. */
  async lockTpm(): Promise<ActiveFault> {
    await lockTpm(this.#machine, this.#hooks.toolchain)
    return onceEnded(() => lockTpm(this.#machine, this.#hooks.toolchain, false))
  }

  /** Puts a disk in the place of its own, with variables and TPM as they are. It is not written to, and must stay there. */
  replaceDisk(path: string): Promise<void> {
    return replaceDisk(this.#machine, path, this.#hooks.toolchain)
  }

  /**
   * Calls back with a copy of this machine for every flush of a recording, as a power cut there would have left its disk, and
   * waits each time: look at the disk, or start it. With another mode than `exact` the power goes just before the flush.
   *
   * @param options.choose which points, of so many; all when absent
   * @returns how many it was called with
   */
  async eachPowerCut(
    recorded: RecordedWrites,
    use: (cut: PowerCut) => Promise<void>,
    options: Omit<ReplayOptions, 'toolchain'> & { readonly choose?: (index: number, count: number) => boolean } = {},
  ): Promise<number> {
    const { choose = () => true, ...rest } = options
    const points = writePoints(await recorded.log()).filter((_, index, all) => choose(index, all.length))
    const { toolchain } = this.#hooks
    return eachWritePoint(recorded, { ...rest, toolchain, points }, async ({ point: { at }, path }) => {
      await recordFault(this.#machine.directory, 'power cut of a copy', { at })
      await using machine = await this.#hooks.withDisk(path)
      await use({ at, machine })
    })
  }

  /** What the next start has to change, and to do before the first instruction; for the machine itself. */
  get atStart(): { changes: Partial<MachineSpec>; arm: (running: RunningMachine) => Promise<void> } {
    const arm = async (running: RunningMachine) => {
      for (const begin of this.#pending) await begin(running)
    }
    return { changes: this.#changes, arm }
  }

  #change(changes: Partial<MachineSpec>): void {
    this.#changes = { ...this.#changes, ...changes }
  }

  #fromStart(begin: (running: RunningMachine) => Promise<ActiveFault>): ActiveFault {
    let active: ActiveFault | undefined
    const pending = async (running: RunningMachine) => {
      active = await begin(running)
    }
    this.#pending.add(pending)
    return onceEnded(async () => {
      this.#pending.delete(pending)
      await active?.end()
    })
  }
}

function onceEnded(undo: () => Promise<void>): ActiveFault {
  let ending: Promise<void> | undefined
  const end = (): Promise<void> => {
    ending ??= undo()
    return ending
  }
  return { end, [Symbol.asyncDispose]: end }
}
