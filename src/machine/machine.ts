import { copyFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { Toolchain } from '../toolchain/index.ts'
import { manufactureTpm } from '../tpm/index.ts'
import { checkSpec } from './check-spec.ts'
import { makeDisks } from './disk.ts'
import type { DiskView } from './disk-view.ts'
import type { EfiVariables } from './efi-variables.ts'
import type { StoppedFaults } from './faults/stopped-faults.ts'
import type { PrivateNetwork } from './network.ts'
import { powerOn } from './power-on.ts'
import type { RunningMachine } from './running-machine.ts'
import { SNAPSHOT_RAM, unpack } from './snapshot.ts'
import type { MachineSpec } from './spec.ts'
import { makeStateDirectory, type StateDirectory } from './state-directory.ts'

/** What a machine runs in. */
export interface MachineContext {
  readonly toolchain: Toolchain
  readonly network: PrivateNetwork
  /** Where state directories are made, one for each machine. */
  readonly stateParent: string
  /** Name of the machine and of its state directory; unique below `stateParent`. */
  readonly name: string
}

export interface StartOptions {
  readonly signal?: AbortSignal | undefined
  /** A UNIX socket where a VNC client may look at the machine's screen. */
  readonly vncPath?: string
  /**
   * So long may the guest give no sign of life while somebody waits for its answer, before that is given up with
   * `GUEST_SILENT`; 120 s when absent.
   */
  readonly silenceMs?: number | undefined
  /** Called before the machine's first instruction: for faults and recordings that begin with it. */
  readonly beforeStart?: (machine: RunningMachine) => Promise<void>
}

/** Configured, not running. Cheap to make, holds nothing that needs closing. */
export interface Machine {
  readonly spec: MachineSpec
  readonly name: string
  /** The first power-on: empty variable store, new TPM, an overlay over the image. */
  start(options?: StartOptions): Promise<RunningMachine>
  /**
   * Goes on where a machine with the same spec was saved ({@link RunningMachine.save}), with a disk, a variable store and
   * a TPM of its own. Rejects with `SNAPSHOT_FAILED` when the snapshot cannot be used.
   */
  resume(snapshotDirectory: string, options?: StartOptions): Promise<RunningMachine>
}

/** Off, but its disk, variable store and TPM state are still there to inspect or boot again. */
export interface StoppedMachine extends AsyncDisposable {
  readonly spec: MachineSpec
  readonly name: string
  readonly directory: string
  /** What can be made to go wrong with it before it is on again. */
  readonly faults: StoppedFaults
  /** Power on again with everything as it was left. */
  restart(options?: StartOptions): Promise<RunningMachine>
  /** Its EFI variables, to read and to change. */
  efiVariables(): Promise<EfiVariables>
  /** Its disk, with the partition table; or another one of its disks, by name (`UNKNOWN_NAME` lists them). */
  disk(name?: string): Promise<DiskView>
  /** Keeps the state directory when the scope is left. */
  keep(): Promise<void>
}

export function machine(spec: MachineSpec, context: MachineContext): Machine {
  const withState = async (
    options: StartOptions,
    fill: (state: StateDirectory) => Promise<void>,
    ramPath?: string,
  ): Promise<RunningMachine> => {
    options.signal?.throwIfAborted()
    await checkSpec(spec)
    await using scope = new AsyncDisposableStack()
    // QEMU takes a relative path of a backing file as one beside the overlay.
    const state = scope.use(await makeStateDirectory(resolve(context.stateParent), context.name))
    await fill(state)
    const running = await powerOn(spec, context, state, options, ramPath)
    scope.move()
    return running
  }
  return {
    spec,
    name: context.name,
    start: (options = {}) => withState(options, (state) => prepare(spec, context, state, options.signal)),
    resume: (snapshot, options = {}) =>
      withState(
        options,
        (state) => unpack(snapshot, context.toolchain, state.path, spec, options.signal),
        join(snapshot, SNAPSHOT_RAM),
      ),
  }
}

async function prepare(
  spec: MachineSpec,
  context: MachineContext,
  state: StateDirectory,
  signal?: AbortSignal,
): Promise<void> {
  const { toolchain } = context
  // All of them are over before the directory may go.
  const outcomes = await Promise.allSettled([
    ...makeDisks(spec, toolchain, state.path, signal),
    copyFile(spec.firmware.variablesPath, join(state.path, 'variables.fd')),
    spec.tpm === 'absent' ? undefined : manufactureTpm(toolchain, join(state.path, 'tpm'), spec.tpm.banks, signal),
  ])
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
}
