import { join } from 'node:path'
import type { Toolchain } from '../toolchain/index.ts'
import { diskFile, diskPath, layOver } from './disk.ts'
import { diskView } from './disk-view.ts'
import { efiVariables } from './efi-variables.ts'
import { StoppedFaults } from './faults/stopped-faults.ts'
import type { StartOptions, StoppedMachine } from './machine.ts'
import type { RunningMachine } from './running-machine.ts'
import { copyStateOver } from './snapshot.ts'
import type { MachineSpec } from './spec.ts'
import { makeStateDirectory, type StateDirectory } from './state-directory.ts'

/** Switches a machine on that has been on before, perhaps changed or as a copy. */
export type PowerOnAgain = (
  options: StartOptions,
  as: { readonly spec: MachineSpec; readonly state: StateDirectory },
) => Promise<RunningMachine>

interface Parts {
  readonly spec: MachineSpec
  readonly name: string
  readonly toolchain: Toolchain
  readonly state: StateDirectory
  readonly powerOn: PowerOnAgain
}

/** What is left of a machine when its processes have ended. Leaving its scope discards the state, unless it runs again. */
export function stoppedMachine(parts: Parts): StoppedMachine {
  const { spec, name, state, toolchain, powerOn } = parts
  let isOurs = true
  const stopped: StoppedMachine = {
    spec,
    name,
    directory: state.path,
    get faults() {
      return faults
    },
    async restart(options = {}) {
      const { changes, arm } = faults.atStart
      const beforeStart = async (running: RunningMachine) => {
        await arm(running)
        await options.beforeStart?.(running)
      }
      const running = await powerOn({ ...options, beforeStart }, { spec: { ...spec, ...changes }, state })
      isOurs = false
      return running
    },
    efiVariables: () => efiVariables(join(state.path, 'variables.fd')),
    disk: async (name) => diskView(toolchain, diskPath(state.path, diskFile(spec, name))),
    keep: () => state.keep(),
    async [Symbol.asyncDispose]() {
      if (isOurs) await state[Symbol.asyncDispose]()
    },
  }
  const faults = new StoppedFaults(stopped, { toolchain, withDisk: (path) => copyWithDisk(parts, path) })
  return stopped
}

/** Inside the directory of the machine, so that it goes with it whatever happens. */
async function copyWithDisk(parts: Parts, path: string): Promise<StoppedMachine> {
  const { state, spec, toolchain } = parts
  await using scope = new AsyncDisposableStack()
  const copy = scope.use(await makeStateDirectory(state.path, 'copy'))
  await copyStateOver(state.path, copy.path, spec, () => layOver(toolchain, path, copy.path))
  scope.move()
  return stoppedMachine({ ...parts, state: copy })
}
