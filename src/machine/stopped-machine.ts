import { join } from 'node:path'
import type { Toolchain } from '../toolchain/index.ts'
import { diskFile, diskPath } from './disk.ts'
import { diskView } from './disk-view.ts'
import { efiVariables } from './efi-variables.ts'
import type { StartOptions, StoppedMachine } from './machine.ts'
import type { RunningMachine } from './running-machine.ts'
import type { MachineSpec } from './spec.ts'
import type { StateDirectory } from './state-directory.ts'

/** What is left of a machine when its processes have ended. Leaving its scope discards the state, unless it runs again. */
export function stoppedMachine(parts: {
  readonly spec: MachineSpec
  readonly name: string
  readonly toolchain: Toolchain
  readonly state: StateDirectory
  powerOn(options: StartOptions): Promise<RunningMachine>
}): StoppedMachine {
  const { spec, name, state, toolchain, powerOn } = parts
  let isOurs = true
  return {
    spec,
    name,
    directory: state.path,
    async restart(options = {}) {
      const running = await powerOn(options)
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
}
