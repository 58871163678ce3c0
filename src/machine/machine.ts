import { access, constants, copyFile, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { BootwrightError } from '../system/index.ts'
import type { Toolchain } from '../toolchain/index.ts'
import { manufactureTpm } from '../tpm/index.ts'
import { makeOverlay } from './disk.ts'
import type { DiskView } from './disk-view.ts'
import type { EfiVariables } from './efi-variables.ts'
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
  /** Power on again with everything as it was left. */
  restart(options?: StartOptions): Promise<RunningMachine>
  /** Its EFI variables, to read and to change. */
  efiVariables(): Promise<EfiVariables>
  /** Its disk, with the partition table. */
  disk(): Promise<DiskView>
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
    await requireFiles(spec)
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
        (state) => unpack(snapshot, context.toolchain, state.path, spec.tpm !== 'absent', options.signal),
        join(snapshot, SNAPSHOT_RAM),
      ),
  }
}

async function requireFiles({ image, firmware, diskMiB }: MachineSpec): Promise<void> {
  const { size } = await access(image.diskPath, constants.R_OK)
    .then(() => stat(image.diskPath))
    .catch((cause: Error) => {
      throw new BootwrightError('IMAGE_INCOMPLETE', `Cannot read the disk of image "${image.name}": ${cause.message}`, {
        cause,
        hint: 'Build the image again.',
      })
    })
  if (diskMiB !== undefined && diskMiB * 1024 * 1024 < size) {
    throw new BootwrightError(
      'INVALID_ARGUMENT',
      `Expected a disk of at least ${Math.ceil(size / 1024 / 1024)} MiB for image "${image.name}", found ${diskMiB}`,
    )
  }
  for (const path of [firmware.codePath, firmware.variablesPath]) {
    await access(path, constants.R_OK).catch((cause: Error) => {
      throw new BootwrightError('TOOL_MISSING', `Cannot read firmware "${firmware.name}": ${cause.message}`, {
        cause,
        hint: 'The package ovmf brings it: run `./bootwright setup`, or install it for --toolchain host.',
      })
    })
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
    makeOverlay(
      toolchain,
      {
        backing: spec.image.diskPath,
        format: 'raw',
        path: join(state.path, 'disk.qcow2'),
        ...(spec.diskMiB === undefined ? {} : { sizeMiB: spec.diskMiB }),
      },
      signal,
    ),
    copyFile(spec.firmware.variablesPath, join(state.path, 'variables.fd')),
    spec.tpm === 'absent' ? undefined : manufactureTpm(toolchain, join(state.path, 'tpm'), spec.tpm.banks, signal),
  ])
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
}
